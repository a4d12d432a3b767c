// Runs one scenario in headless Chromium: node run.mjs <scenario.mjs> <arguments as JSON>
//
// A scenario exports a function that gets { page, context, browser, origin, args } and returns what
// the test looks at; that is printed as the last line, as JSON: { result, errors }. `errors` is what
// pages complained about. tests/src/browser.rs starts it.
//
// `origin` serves an empty page at /, files of the packages beside it at /modules/, the SDK as it was
// built at /sdk/, and this folder at /scenarios/.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const modules = fileURLToPath(new URL('../../target/test-tools/browser/node_modules/', import.meta.url));
const FOLDERS = {
    modules,
    sdk: fileURLToPath(new URL('../../sdk/dist/', import.meta.url)),
    scenarios: fileURLToPath(new URL('./', import.meta.url)),
};
const { chromium } = createRequire(modules)('playwright-core');

const FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--autoplay-policy=no-user-gesture-required',
    // A camera with a moving picture and a microphone that beeps, and nobody asked about them.
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    // Addresses on loopback are told as they are, not as names that only mDNS resolves.
    '--disable-features=WebRtcHideLocalIpsWithMdns',
];

const [scenario, json] = process.argv.slice(2);
const args = JSON.parse(json);

const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/') {
        response.setHeader('Content-Type', 'text/html');
        response.end('<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>test</title><body></body>');
        return;
    }
    const [, folder, ...rest] = pathname.split('/');
    const file = path.join(FOLDERS[folder] ?? FOLDERS.modules, ...rest);
    response.setHeader('Content-Type', 'text/javascript');
    createReadStream(file)
        .on('error', () => response.writeHead(404).end())
        .pipe(response);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://localhost:${server.address().port}`;

const browser = await chromium.launch({
    executablePath: process.env.LOCKGATE_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
});
let failed = false;
try {
    const context = await browser.newContext({ ignoreHTTPSErrors: args.ignoreHTTPSErrors ?? false });
    const errors = [];
    context.on('weberror', (error) => errors.push(String(error.error())));
    context.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    const page = await context.newPage();
    const { default: run } = await import(pathToFileURL(path.resolve(scenario)));
    const result = await run({ page, context, browser, origin, args });
    console.log(JSON.stringify({ result: result ?? null, errors }));
} catch (error) {
    console.error(error);
    failed = true;
} finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
}
process.exitCode = failed ? 1 : 0;
