// The floors of docs/ARCHITECTURE.md: imports point down only; rooms of one floor do not import each other, save where a rule below says so.
const rooms = {
  7: ['cli', 'devnet'],
  6: ['gateway', 'node'],
  5: ['hoster', 'validator', 'client', 'trainer'],
  4: ['engine', 'distribution', 'receipts'],
  3: ['model', 'p2p'],
  2: ['chain', 'store', 'devchain', 'consensus', 'routing', 'wire', 'graph'],
  1: ['types', 'util'],
};
// Which rooms a room may import besides itself; floors 7 and 6 may use everything below them.
const floor = (n) => rooms[n];
const below = (n) => Object.entries(rooms).flatMap(([k, names]) => (Number(k) < n ? names : []));
const allowed = {
  ...Object.fromEntries(floor(7).map((room) => [room, ['devnet', ...below(7)]])),
  ...Object.fromEntries(floor(6).map((room) => [room, below(6)])),
  ...Object.fromEntries(floor(5).map((room) => [room, below(5)])),
  engine: ['model', 'graph', 'types', 'util'],
  distribution: ['model', 'p2p', 'wire', 'types', 'util'],
  receipts: ['engine', 'model', 'p2p', 'consensus', 'wire', 'types', 'util'],
  model: ['graph', 'wire', 'types', 'util'],
  p2p: ['wire', 'types', 'util'],
  ...Object.fromEntries(floor(2).map((room) => [room, ['types', 'util']])),
  devchain: ['util'],
  types: [],
  util: [],
};
const floorRules = Object.entries(allowed).map(([room, others]) => ({
  name: `floor-${room}`,
  comment: `src/${room} may import ${others.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: `^src/(${[room, ...others].join('|')})/` },
}));
module.exports = {
  forbidden: [
    ...floorRules,
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'adapters-behind-types',
      comment: 'only node/, devnet/ and cli/ see an implementation of an adapter; everybody else sees its types.ts',
      severity: 'error',
      from: { path: '^src/(hoster|validator|client|trainer|gateway|distribution|receipts)/' },
      to: { path: '^src/(chain|p2p|engine|store)/', pathNot: '/types\\.ts$' },
    },
    {
      name: 'rules-are-pure',
      comment: 'rules know neither clock nor network nor disk',
      severity: 'error',
      from: { path: '^src/(consensus|routing|wire|graph)/' },
      to: { path: '^(node:)?(fs|net|http|https|child_process|worker_threads|timers|dgram|dns|os|perf_hooks)(/|$)' },
    },
    { name: 'no-tests-in-src', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|scripts)/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js', '.cjs', '.json'],
    },
  },
};
