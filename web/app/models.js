/** Which models there are, and which one the address asks for. No DOM here. */
import { Sam2Error } from '../sam2/errors.js';
import { addressOf, fileNameOf } from '../sam2/address.js';

/** @typedef {import('../sam2/index.d.ts').ModelByAddress} ModelByAddress */

/**
 * @typedef {object} ModelEntry one model of models/manifest.json
 * @property {string} name
 * @property {string} title
 * @property {string | null} url absolute; null when only a file of one's own will do
 * @property {string | undefined} sha256
 * @property {number | undefined} bytes
 * @property {string | undefined} config address of a yaml
 * @property {string} description
 * @property {string} licence
 * @property {string} note shown beside the result, for example that the weights are untrained
 */

/** @typedef {{ entries: ModelEntry[], preferred: ModelEntry | null }} Manifest */
/** @typedef {{ kind: 'entry', entry: ModelEntry } | { kind: 'url', model: ModelByAddress & { url: string, name: string } } | { kind: 'unknown', name: string }} ModelChoice */

/** @param {unknown} value @returns {string | undefined} */
const text = (value) => (typeof value === 'string' && value !== '' ? value : undefined);

/**
 * Reads the manifest; entries that make no sense are left out.
 * @param {unknown} json
 * @param {string} base address of the manifest, to which the files' addresses are relative
 * @param {unknown} [serverConfig] /config.json of `sam2 serve`: its entries say which files it has
 *   (`available`), and `model_size` names the model its owner prefers
 * @returns {Manifest}
 */
export function parseManifest(json, base, serverConfig) {
  const config = /** @type {{ models?: unknown, model_size?: unknown }} */ (serverConfig ?? {});
  const manifest = /** @type {{ models?: unknown, default?: unknown }} */ (Array.isArray(json) ? { models: json } : json ?? {});
  const listed = Array.isArray(config.models) ? config.models : manifest.models;
  /** @type {ModelEntry[]} */
  const entries = [];
  for (const raw of Array.isArray(listed) ? listed : []) {
    const name = text(raw?.name);
    if (name === undefined) continue;
    // A file beside the manifest, unless it is known not to be there, or is only a copy of one elsewhere.
    const place = raw.available === true ? text(raw.file) ?? text(raw.url) : text(raw.url) ?? (raw.available === false ? undefined : text(raw.file));
    const sha256 = text(raw.sha256)?.toLowerCase();
    const bytes = Number(raw.bytes ?? raw.size);
    entries.push({
      name,
      title: text(raw.title) ?? titleOf(name, raw.config?.official),
      url: place === undefined ? null : addressOf(place, base)?.href ?? null,
      sha256: sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : undefined,
      bytes: Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined,
      config: /\.ya?ml$/.test(text(raw.config) ?? '') ? addressOf(raw.config, base)?.href : undefined,
      description: text(raw.description) ?? '',
      licence: text(raw.licence) ?? text(raw.license) ?? '',
      note: text(raw.note) ?? (raw.trained === false || raw.untrained === true
        ? 'This model is untrained: its masks show that the engine works, and nothing about the picture.' : ''),
    });
  }
  const preferred = entries.find((entry) => entry.name === config.model_size)
    ?? entries.find((entry) => entry.name === manifest.default) ?? entries.find((entry) => entry.url !== null) ?? null;
  return { entries, preferred };
}

/** @param {string} name @param {{ size?: unknown, version?: unknown } | undefined} official */
function titleOf(name, official) {
  const size = text(official?.size)?.replace('_plus', '+');
  if (size !== undefined && text(official?.version) !== undefined) return `SAM ${official?.version} ${size}`;
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/**
 * What `?model=NAME|URL` means. An address may bring `&sha256=` and `&bytes=`.
 * @param {URLSearchParams} query
 * @param {Manifest} manifest
 * @param {string} base address of the page
 * @returns {ModelChoice | null} null when the address names no model and the manifest has none
 */
export function chooseModel(query, manifest, base) {
  const asked = text(query.get('model'));
  if (asked === undefined) return manifest.preferred === null ? null : { kind: 'entry', entry: manifest.preferred };
  const entry = manifest.entries.find(({ name }) => name === asked);
  if (entry !== undefined) return { kind: 'entry', entry };
  if (!/[/:]|\.(pt|pth|safetensors)$/.test(asked)) return { kind: 'unknown', name: asked };
  return { kind: 'url', model: modelFromUrl(asked, base, query.get('sha256'), query.get('bytes')) };
}

/**
 * @param {string} address
 * @param {string} base
 * @param {string | null} [sha256]
 * @param {string | null} [bytes]
 * @returns {ModelByAddress & { url: string, name: string }}
 * @throws {Sam2Error} `bad_model` where it is no address
 */
export function modelFromUrl(address, base, sha256, bytes) {
  const url = addressOf(address, base);
  if (url === null) throw new Sam2Error('bad_model', `“${address}” is not an address.`, 'Write it as https://host/path/model.pt.');
  const size = Number(bytes ?? NaN);
  return {
    url: url.href,
    name: fileNameOf(url) || url.host,
    ...(text(sha256) === undefined ? {} : { sha256: text(sha256) }),
    ...(Number.isSafeInteger(size) && size > 0 ? { bytes: size } : {}),
  };
}

/** Whether loading this address reaches a host that the page did not come from. @param {string} url @param {string} origin */
export function isElsewhere(url, origin) {
  const { protocol, origin: other } = new URL(url);
  return protocol !== 'blob:' && protocol !== 'data:' && other !== origin;
}

/**
 * Why an address is not even asked for. The server's policy lets the page reach other hosts over https alone
 * (crates/sam2-server, headers.rs), and browsers keep a page of https from http.
 * @param {string} url @param {string} origin of the page @returns {Sam2Error | null}
 */
export function refusalOf(url, origin) {
  const { protocol, host } = new URL(url);
  if (protocol === 'https:' || !isElsewhere(url, origin)) return null;
  return new Sam2Error('bad_model', `Models from other hosts are fetched over https only, not from ${protocol}//${host}.`,
    'Use its https address, or download the file and open it from the Model menu.');
}

/** @param {string} device @returns {'auto' | 'webgpu' | 'cpu' | null} null for a word that is none of these */
export function parseDevice(device) {
  return device === 'auto' || device === 'webgpu' || device === 'cpu' ? device : null;
}
