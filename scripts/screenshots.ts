// `npm run screenshots`: docs/images from a real network of processes in a real browser: the page with a question answered and epochs settled,
// wide in light and dark, and on a phone. Needs Chromium (CHROMIUM, or where Debian and Google put it).

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { type Running, startCli, stopCli } from '../test/support/cli.ts';

const IMAGES = fileURLToPath(new URL('../docs/images/', import.meta.url));
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const PATIENCE_MS = 10 * 60_000;
const SETTLED_EPOCHS = 4;
const QUESTION = 'Tell me a story about a brave turtle named Ruby.';

const SHOTS = [
  { name: 'page-light.png', width: 1280, height: 1000, colorScheme: 'light' },
  { name: 'page-dark.png', width: 1280, height: 1000, colorScheme: 'dark' },
  { name: 'page-phone.png', width: 390, height: 1400, colorScheme: 'light' },
] as const;

const executablePath = [process.env.CHROMIUM, ...PLACES].find((path) => path !== undefined && existsSync(path));
if (executablePath === undefined) throw new Error('no Chromium here: install it, or name it with CHROMIUM');

const folder = mkdtempSync(join(tmpdir(), 'tessera-screenshots-'));
const words = ['devnet', '--json', '--block-ms', '500', '--rpc-port', '0', '--port', '0', '--data-dir', folder];
const net = startCli(words);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
try {
  const { url } = await net.waitFor((line) => line.event === 'gateway-ready');
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(String(url));
  await untilSettled(net);
  await ask(page);
  mkdirSync(IMAGES, { recursive: true });
  for (const { name, width, height, colorScheme } of SHOTS) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.evaluate('scrollTo(0, 0)');
    await page.screenshot({ path: join(IMAGES, name), animations: 'disabled' });
    console.log(`docs/images/${name}`);
  }
} finally {
  await browser.close();
  await stopCli(net);
  rmSync(folder, { recursive: true, force: true });
}

/** Enough epochs for the plots to show something. */
async function untilSettled(running: Running): Promise<void> {
  const settled = (): number => running.lines.filter((line) => line.event === 'epoch-settled').length;
  await running.waitFor(() => settled() >= SETTLED_EPOCHS);
}

async function ask(page: Page): Promise<void> {
  await page.fill('#question', QUESTION);
  await page.fill('#temperature', '0');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#talk .route');
  await page.locator('#epochs details summary').first().click();
}
