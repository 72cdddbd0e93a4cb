/**
 * Which model is loaded: the one that the page's address names, the list's own, one of the menu, or a file.
 * Every way ends in a model or in an error that is shown.
 */
import { Sam2Error } from '../sam2/errors.js';
import { chooseModel, isElsewhere, modelFromUrl, parseManifest, refusalOf } from './models.js';
import { limitsOf, readList, textAt } from './server.js';

/** @typedef {import('./controller.js').Controller} Controller */
/** @typedef {import('./models.js').ModelEntry} ModelEntry */
/** @typedef {import('../sam2/index.d.ts').ModelByAddress} ModelByAddress */

/**
 * @typedef {object} LoaderOptions
 * @property {URLSearchParams} query of the page's address
 * @property {string} page its address
 * @property {URL} list address of models/manifest.json
 * @property {(model: { url: string, bytes?: number | undefined }) => Promise<boolean>} ask whether another host may be contacted
 * @property {(entries: readonly ModelEntry[]) => void} onList
 * @property {() => void} onBegin a model is about to be loaded
 * @property {(changed: boolean) => void} onEnd it is there, or the one before still is
 */

export class ModelLoader {
  /** What the server's owner allows of videos. @type {import('./clip/clip.js').VideoLimits} */
  limits = {};
  /** What is proposed where another would take minutes. @type {ModelEntry | null} */
  small = null;
  /** @type {Controller} */
  #controller;
  /** @type {LoaderOptions} */
  #options;

  /** @param {Controller} controller @param {LoaderOptions} options */
  constructor(controller, options) {
    this.#controller = controller;
    this.#options = options;
  }

  /** Reads the list and loads what the address asks for. */
  async start() {
    const { query, page, list: address } = this.#options;
    let manifest = parseManifest([], address.href);
    /** @type {unknown} */
    let noList = null;
    try {
      const { list, settings } = await readList(address);
      manifest = parseManifest(list, address.href, settings ?? undefined);
      this.limits = limitsOf(settings);
    } catch (error) {
      noList = error;
    }
    this.#options.onList(manifest.entries);
    this.small = manifest.entries.find(({ name, url }) => name === 'nano' && url !== null) ?? null;
    const again = () => void this.start();
    if (noList !== null && !query.has('model')) {
      this.#controller.refuseModel(noList, again);
      return;
    }
    try {
      const choice = chooseModel(query, manifest, page);
      if (choice === null) throw new Sam2Error('bad_model', 'The list of models is empty.', 'Open a model file from the Model menu.');
      if (choice.kind === 'entry') await this.entry(choice.entry);
      else if (choice.kind === 'url') await this.#address(choice.model);
      else if (noList !== null) this.#controller.refuseModel(noList, again);
      else throw new Sam2Error('bad_model', `There is no model named ${choice.name}.`, `Known are: ${manifest.entries.map(({ name }) => name).join(', ')}.`);
    } catch (error) {
      this.#controller.refuseModel(error, null);
    }
  }

  /** @param {ModelEntry} entry */
  async entry(entry) {
    const { url, name, title, note, sha256, bytes, config } = entry;
    if (url === null) {
      this.#controller.refuseModel(new Sam2Error('bad_model', `The model ${name} has to be opened from a file.`, 'Choose Model, then “Open a model file”.'), null);
      return;
    }
    const again = () => void this.entry(entry);
    if (!(await this.#mayFetch({ url, bytes }, again))) return;
    let configYaml;
    try {
      if (config !== undefined) configYaml = await textAt(config);
    } catch (error) {
      this.#controller.refuseModel(error, again);
      return;
    }
    await this.#use({ url, name, sha256, bytes, configYaml }, name, title, note);
  }

  /** @param {string} address as a person writes it */
  async address(address) {
    try {
      await this.#address(modelFromUrl(address, this.#options.page));
    } catch (error) {
      this.#controller.refuseModel(error, null);
    }
  }

  /** @param {File} file @param {File | null} config */
  async file(file, config) {
    let configYaml;
    try {
      if (config !== null) configYaml = await config.text();
    } catch (error) {
      this.#controller.refuseModel(new Sam2Error('bad_model', `The file ${config?.name} cannot be read.`, 'Choose it again.', { cause: error }), null);
      return;
    }
    await this.#use({ file, name: file.name, configYaml }, file.name, file.name, '');
  }

  /** @param {ModelByAddress & { url: string, name: string }} model */
  async #address(model) {
    if (await this.#mayFetch(model, () => void this.#address(model))) await this.#use(model, model.name, model.name, '');
  }

  /** @param {{ url: string, bytes?: number | undefined }} model @param {() => void} again */
  async #mayFetch(model, again) {
    const { origin } = new URL(this.#options.page);
    const refusal = refusalOf(model.url, origin);
    if (refusal !== null) {
      this.#controller.refuseModel(refusal, null);
      return false;
    }
    if (!isElsewhere(model.url, origin) || await this.#options.ask(model)) return true;
    if (this.#controller.model === null) {
      this.#controller.refuseModel(new Sam2Error('bad_model', 'No model is loaded.', 'Choose one from the Model menu.'), again);
    }
    return false;
  }

  /** @param {ModelByAddress} source @param {string} name @param {string} title @param {string} note */
  async #use(source, name, title, note) {
    this.#options.onBegin();
    const before = this.#controller.model;
    await this.#controller.loadModel({ source, name, title, note }, () => void this.#use(source, name, title, note));
    this.#options.onEnd(this.#controller.model !== before);
  }
}
