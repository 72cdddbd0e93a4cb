/**
 * A static server for the browser tests, with the headers that `sam2 serve` sends. With
 * `engine: 'fake'` the page comes from the sources and its engine is fake-engine.js; with `'built'`
 * everything comes from web/dist.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml',
  '.json': 'application/json', '.jpg': 'image/jpeg', '.png': 'image/png', '.wasm': 'application/wasm', '.md': 'text/markdown',
};
// That of crates/sam2-server, headers.rs.
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; img-src 'self' blob: data:; "
  + "media-src 'self' blob:; worker-src 'self'; connect-src 'self' https:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/** Two small "models" and one that the fake engine refuses. */
export const FAKE_MODELS = {
  'first.safetensors': Buffer.alloc(300_000, 'good first '),
  'second.safetensors': Buffer.alloc(200_000, 'good second '),
  'broken.safetensors': Buffer.from('bad model'),
};

/** @param {Buffer} bytes */
const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');

function fakeFiles() {
  const entry = (file, title, more = {}) => ({
    name: file.replace('.safetensors', ''), title, url: file, bytes: FAKE_MODELS[file].length, sha256: sum(FAKE_MODELS[file]), licence: 'MIT OR Apache-2.0', ...more,
  });
  return {
    'pkg/assets.json': JSON.stringify({ js: '../web/test-browser/fake-engine.js', wasm: 'fake.wasm', wasm_bytes: 5000 }),
    'pkg/fake.wasm': Buffer.alloc(5000),
    'config.json': JSON.stringify({ schema: 1, model_size: null, threads: 2 }),
    'models/manifest.json': JSON.stringify({
      schema: 1, default: 'first',
      models: [
        entry('first.safetensors', 'Nano', { trained: false }), entry('second.safetensors', 'Nano, second'), entry('broken.safetensors', 'Broken'),
        { name: 'sam2.1_hiera_tiny', title: 'SAM 2.1 tiny', bytes: 156_008_466, licence: 'Apache-2.0' },
      ],
    }),
    ...Object.fromEntries(Object.entries(FAKE_MODELS).map(([name, bytes]) => [`models/${name}`, bytes])),
  };
}

/**
 * @param {{ engine?: 'fake' | 'built', prefix?: string, files?: Record<string, string | Buffer>, marked?: boolean }} [options]
 *   `files` shadow what is on the disk; `marked`: as `sam2 serve` marks its list of models
 */
export async function startServer({ engine = 'fake', prefix = '/', files = {}, marked = true } = {}) {
  const root = engine === 'fake' ? REPOSITORY : join(REPOSITORY, 'web/dist');
  const shadow = { ...(engine === 'fake' ? fakeFiles() : {}), ...files };
  /** @type {{ method: string, path: string, range: string | undefined }[]} */
  const requests = [];
  /** How many bytes of a model to send before cutting the connection; a test sets it. */
  const trouble = { cutAfter: 0 };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    requests.push({ method: request.method ?? '', path: url.pathname, range: request.headers.range });
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    if (!url.pathname.startsWith(prefix)) {
      response.writeHead(404).end();
      return;
    }
    let path = '';
    let body;
    try {
      path = normalize(decodeURIComponent(url.pathname.slice(prefix.length))).replace(/^[/.]+/, ''); // throws at a % that begins no character
      if (path === '') path = 'index.html';
      body = shadow[path] ?? await readFile(join(root, path));
    } catch {
      response.writeHead(404).end();
      return;
    }
    body = Buffer.from(body);
    response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
    if (marked && path === 'models/manifest.json') response.setHeader('X-Sam2-Server', '1');
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const from = range === null ? 0 : Number(range[1]);
    if (from > 0) {
      if (from >= body.length) {
        response.writeHead(416, { 'Content-Range': `bytes */${body.length}` }).end();
        return;
      }
      response.setHeader('Content-Range', `bytes ${from}-${body.length - 1}/${body.length}`);
    }
    const part = body.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, { 'Content-Length': part.length, 'Accept-Ranges': 'bytes', ETag: `"${sum(body).slice(0, 16)}"` });
    if (request.method === 'HEAD') {
      response.end();
    } else if (trouble.cutAfter > 0 && path.startsWith('models/') && path !== 'models/manifest.json') {
      const cut = part.subarray(0, trouble.cutAfter);
      trouble.cutAfter = 0;
      response.write(cut, () => setTimeout(() => response.destroy(), 50));
    } else {
      response.end(part);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}${prefix}`, origin: `http://127.0.0.1:${port}`, requests, trouble,
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve(undefined));
    }),
  };
}
