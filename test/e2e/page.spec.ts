// The page in a real browser, over a network of processes: a question is answered, an epoch settles on screen, a killed hoster turns red, and
// axe finds nothing at two widths in both schemes. Where there is no Chromium it says so and proves nothing.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { type Running, startCli, stopCli } from '../support/cli.ts';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** A slow machine is slow; it does not fail. */
const PATIENCE_MS = 6 * 60_000;
const WIDTHS = [1280, 390];

const executable = [process.env.CHROMIUM, ...PLACES].find((path) => path !== undefined && existsSync(path));
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Keeps the names of the phases that the page has shown, where a selector finds them. */
const WATCH_PHASES = `
  const seen = new Set();
  new MutationObserver(() => {
    const shown = document.querySelector('.phases [aria-current]');
    if (shown === null || seen.has(shown.textContent)) return;
    seen.add(shown.textContent);
    document.documentElement.dataset.phases = [...seen].sort().join(' ');
  }).observe(document, { childList: true, subtree: true });
`;

describe('the page in a browser', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let net: Running | undefined;
  let browser: Browser | undefined;
  let page: Page;
  const faults: string[] = [];

  before(async function () {
    if (executable === undefined) {
      process.stdout.write('browser: not run\n');
      this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'tessera-page-'));
    net = startCli(['devnet', '--json', '--block-ms', '500', '--rpc-port', '0', '--port', '0', '--data-dir', folder]);
    const { url } = await net.waitFor((line) => line.event === 'gateway-ready');
    browser = await chromium.launch({
      executablePath: executable,
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
      timeout: PATIENCE_MS,
    });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    await page.addInitScript(WATCH_PHASES);
    await page.goto(String(url));
  });

  after(async () => {
    await browser?.close();
    if (net === undefined) return;
    await stopCli(net);
    rmSync(folder, { recursive: true, force: true });
  });

  it('shows every node up, and every shard served', async () => {
    for (const id of [1, 2, 3, 4, 5]) await page.waitForSelector(`tr[data-node="${id}"][data-health="up"]`);
    await page.locator('.tile.serves[aria-label="serves"]').nth(11).waitFor();
    assert.equal(await page.locator('#mosaic .tile.serves').count(), 12);
    assert.match((await page.textContent('#network-lead')) ?? '', /5 of 5 nodes .* every shard is served/);
    assert.equal(await page.locator('tfoot .bare').count(), 0);
  });

  it('answers a question with the keyboard alone, and shows its route', async () => {
    await page.focus('#question');
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type('Tell me a story about a calm ant named Stella.');
    await page.keyboard.press('Enter');
    const route = await page.waitForSelector('#talk .route');
    assert.match((await route.textContent()) ?? '', /^Route: node \d \(shards 0/);
    assert.match((await page.textContent('#talk article p:nth-of-type(2)')) ?? '', /\w+ \w+ \w+/);
    assert.ok((await page.locator('.tile.routed').count()) >= 4, 'every shard of the route is marked');
    assert.equal(await page.locator('#talk .failed').count(), 0);
  });

  it('shows the phases as they run, and an epoch that settles with scores and reasons', async () => {
    await page.waitForSelector('html[data-phases="commit prompt reveal score"]');
    await page.waitForSelector('#epochs details[data-outcome="Accepted"]');
    const terms = await page.locator('#progress dt').allTextContents();
    const duties = [
      'Commitments',
      'Reveals',
      'Commits seen by',
      'Reveals seen by',
      'Score commitments',
      'Proposer',
      'Attested',
    ];
    assert.deepEqual(terms, duties);
    const settled = page.locator('#epochs details[data-outcome="Accepted"]').first();
    assert.match((await settled.textContent()) ?? '', /proposer \d, \d of 5 attested, 0\.\d{4} T paid/);
    await settled.locator('summary').focus();
    await page.keyboard.press('Enter');
    assert.equal(await settled.getAttribute('open'), '');
    assert.equal(await settled.locator('li').count(), 5);
    assert.match((await settled.locator('li').first().textContent()) ?? '', /node 1: \d+\.\d %, \w+/);
  });

  for (const width of WIDTHS) {
    for (const scheme of ['light', 'dark'] as const) {
      it(`axe finds nothing, and nothing is cut off, at ${width} px in the ${scheme} scheme`, async () => {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme: scheme });
        await page.evaluate(axeSource);
        const { violations } = await page.evaluate<AxeResults>('axe.run()');
        const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
        assert.deepEqual(told, []);
        const wide = await page.evaluate('document.documentElement.scrollWidth > window.innerWidth');
        assert.equal(wide, false, 'the page scrolls in one direction only');
      });
    }
  }

  it('a killed hoster turns red', async () => {
    const victim = await net?.waitFor((line) => line.event === 'node-active' && line.id === 2);
    process.kill(Number(victim?.pid), 'SIGKILL');
    const row = await page.waitForSelector('tr[data-node="2"][data-health="down"]');
    assert.equal(await (await row.$('.health'))?.textContent(), 'down');
    const color = await page.evaluate<string>(
      `getComputedStyle(document.querySelector('tr[data-node="2"] .health')).color`,
    );
    const [red = 0, green = 0, blue = 0] = (color.match(/\d+/g) ?? []).map(Number);
    assert.ok(red > green && red > blue, color);
  });

  it('had no errors, and asked nobody else', () => assert.deepEqual(faults, []));
});
