#!/usr/bin/env node
// The `tessera` command. Node older than 24 cannot run the TypeScript sources: say so instead of failing on syntax.
import * as nodeModule from 'node:module';
import './imports.js';

if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    `tessera needs Node 24 or newer, this is ${process.version}. In a checkout use: npm run node -- <command>`,
  );
  process.exit(1);
}
// a third of the start is reading sources: keep what was compiled
nodeModule.enableCompileCache();
await import('../src/cli/main.ts');
