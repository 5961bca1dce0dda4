// Every adversary and every condition for a short season each, within the bars of the long table (docs/simulation.md), and pairs that broke
// something once.

import assert from 'node:assert/strict';
import { ADVERSARIES } from './adversaries.ts';
import { CONDITIONS } from './conditions.ts';
import { brokenBars, figuresOf, gainOf } from './figures.ts';
import { playSeason, type Scene, type Season } from './play.ts';

const SCENE: Omit<Scene, 'name'> = { nodes: 7, epochs: 4, loss: 0.05, delay: 0.75, share: 1 / 3, seed: 1 };
/** Once a copier who copied what a flooder had forged showed so many faces that an honest proposer held two others of them. */
const PAIRS = ['copier+flooder'];

describe('adversaries in the simulation', function () {
  this.timeout(10 * 60_000);
  let honest: Season;

  before(async () => {
    honest = await playSeason({ ...SCENE, name: 'honest' });
  });

  function judge(season: Season): void {
    const figures = figuresOf([season]);
    const told = `seed ${season.scene.seed}: ${figures.missed.join('; ')}`;
    assert.deepEqual(brokenBars(figures, gainOf(figures, [honest], season.gang)), [], told);
    assert.ok(figures.honest > 0, 'no honest node proposed with this seed');
  }

  it('nobody: all are paid, every epoch is accepted', () => {
    judge(honest);
    for (const { outcome, scores } of honest.settled) {
      assert.equal(outcome, 'Accepted');
      assert.equal(scores.size, SCENE.nodes);
    }
  });

  for (const [name, { tries }] of Object.entries(ADVERSARIES)) {
    it(`${name}: ${tries}`, async () => judge(await playSeason({ ...SCENE, name })));
  }

  for (const name of [...Object.keys(CONDITIONS), ...PAIRS]) {
    it(name, async () => judge(await playSeason({ ...SCENE, name })));
  }
});

describe('the simulation', () => {
  it('tells when a bar is broken', async () => {
    const season = await playSeason({ ...SCENE, name: 'honest' });
    const [first, ...rest] = season.settled;
    assert.ok(first !== undefined);
    const broken = (changed: Partial<typeof first>, name = 'late', gang: readonly number[] = [1]) => {
      const scene = { ...season.scene, name };
      const figures = figuresOf([
        { ...season, scene, gang, misdeeds: 1, settled: [{ ...first, ...changed }, ...rest] },
      ]);
      return brokenBars(figures, gainOf(figures, [season], gang)).join('; ');
    };
    assert.match(broken({}), /paid .* of an honest node/);
    assert.match(broken({ proposer: 2, reached: false }), /honest proposals reached/);
    assert.match(broken({ forged: true, reached: true }), /forged proposals reached/);
    assert.match(broken({ scores: new Map([[1, 1n]]) }), /gains/);
  });
});
