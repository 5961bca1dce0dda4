// Quick imports. For every import Node parses the importer's package.json anew, and those of @polkadot name each of their files (188 KB for one package):
// half the start of a command that talks to a chain. A relative path there is the file it says, and ESM; a package is the same one for all files.
import * as nodeModule from 'node:module';

const IN_POLKADOT = /^.*\/node_modules\/@polkadot\/[^/]+\/(?!cjs\/|node_modules\/)/;
const known = new Map();
nodeModule.registerHooks?.({
  resolve(specifier, context, next) {
    const [home] = IN_POLKADOT.exec(context.parentURL ?? '') ?? [];
    if (home === undefined || !context.conditions.includes('import')) return next(specifier, context);
    if (/^\.\.?\/.*\.js$/.test(specifier)) {
      const { href } = new URL(specifier, context.parentURL);
      return IN_POLKADOT.test(href) ? { url: href, format: 'module', shortCircuit: true } : next(specifier, context);
    }
    const key = `${home} ${specifier}`;
    if (!known.has(key)) known.set(key, { ...next(specifier, context), shortCircuit: true });
    return known.get(key);
  },
});
