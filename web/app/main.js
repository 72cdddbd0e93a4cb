/** Connects the page's parts. */
import { Sam2Error } from '../sam2/errors.js';
import { isAnimated } from './animated.js';
import { ClipMode } from './clip/mode.js';
import { Controller } from './controller.js';
import { byId, make } from './dom.js';
import { engineAssets } from './engine-assets.js';
import { cutout, rleJson, save, stemOf } from './exports.js';
import { listenForFiles, sortFiles } from './files.js';
import { HoverPreview } from './hover.js';
import { Input } from './input.js';
import { ModelLoader } from './model-loader.js';
import { ModelMenu, askBeforeFetching } from './model-menu.js';
import { parseDevice } from './models.js';
import { Panel } from './panel.js';
import { SnapSwitch } from './snap.js';
import { Stage } from './stage.js';
import { Status } from './status.js';
import { View } from './view.js';
import { warningInWords } from './words.js';

/** @typedef {import('./files.js').Sorted} Sorted */

const SAMPLES = [
  { file: 'cat.jpg', title: 'Cat' },
  { file: 'coffee.jpg', title: 'Coffee' },
  { file: 'astronaut.jpg', title: 'Astronaut' },
  { file: 'rocket.jpg', title: 'Rocket' },
];

const query = new URLSearchParams(location.search);
const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);
const surface = byId('surface', HTMLCanvasElement);
const area = byId('area', HTMLElement);

const view = new View();
const stage = new Stage(surface, view);
const status = new Status();
const hover = new HoverPreview((path) => stage.show({ preview: path !== null, mask: path ?? controller.outline }));
let removing = false;
let boxTool = false;
let warning = '';
/** @type {import('./controller.js').Picture | null} */
let shownPicture = null;

const askedDevice = query.get('device') ?? 'auto';
const controller = new Controller({
  assets: engineAssets,
  device: parseDevice(askedDevice) ?? 'auto',
  snap: () => snap.on,
  onState: showState,
  onProgress: (progress) => status.progress(progress),
  onChange: render,
  onWarning: (text) => {
    const words = warningInWords(text);
    if (words === '') return;
    warning = words;
    render();
  },
});
const panel = new Panel((index) => void controller.choose(index));
const menu = new ModelMenu({
  entry: (entry) => void models.entry(entry),
  address: (address) => void models.address(address),
  files: (files) => takeFiles(sortFiles(files)),
});
const models = new ModelLoader(controller, {
  query, page: document.baseURI, list: new URL('../../models/manifest.json', import.meta.url), ask: askBeforeFetching,
  onList: (entries) => menu.showEntries(entries),
  onBegin: () => {
    warning = '';
  },
  onEnd: (changed) => {
    if (clip.isOpen && changed) void clip.modelChanged(snap.on);
    if (controller.model !== null) menu.showCurrent(controller.model.name, controller.model.title);
  },
});

const snap = new SnapSwitch(() => controller.model !== null && controller.model.name === models.small?.name, (on) => {
  hover.stop();
  if (clip.isOpen) void clip.setSnap(on);
  else controller.askAgain();
});

const clip = new ClipMode({
  stage, onSize: setSize,
  sam: () => controller.loaded(),
  limits: () => ({ ...models.limits, snap: snap.on }),
  engine: () => ({ device: controller.sam?.device ?? '', model: controller.model?.name ?? '', isSmall: controller.model?.name === models.small?.name }),
  onSmallModel: () => {
    if (models.small !== null) void models.entry(models.small);
  },
  onProgress: (progress) => status.progress(progress),
  onAsk: () => controller.dismiss(),
  onNewObject: () => setRemoving(false),
  onChange: showState,
});

/** The picture's state, or the clip's while one is open; a model that loads or fails comes first. */
function showState() {
  const { state, message } = controller.describe();
  const shown = clip.isOpen && state !== 'loading' && state !== 'error' ? clip.describe() : { state, message };
  status.show(shown.state, shown.message);
  render();
}

/** Draws what the controller holds. */
function render() {
  if (clip.isOpen) {
    renderClip();
    return;
  }
  const { picture, prompts, image, model, sam } = controller;
  const shown = picture?.shown ?? null;
  if (shown !== null && shownPicture !== picture) setSize(shown);
  shownPicture = shown === null ? null : picture;
  const last = prompts.last;
  stage.show({ picture: shown?.bitmap ?? null, mask: controller.outline, preview: false, clicks: last?.clicks ?? [], box: last?.box ?? null });
  stage.draw(); // at once: the canvas has its place before anything asks where it is
  showEmpty(shown === null);
  snap.show();
  panel.showMasks(prompts.shown);
  panel.showFacts({
    device: sam?.deviceInfo ?? null, model: sam?.model ?? null, image,
    decodeMs: prompts.shown?.answer?.decodeMs ?? null, note: [model?.note, warning].filter(Boolean).join(' '),
  });
  const busy = status.state === 'loading' || status.state === 'encoding';
  for (const id of ['download', 'download-cutout', 'download-svg', 'download-rle']) button(id).disabled = controller.mask === null || busy;
  button('undo').disabled = prompts.isEmpty;
  button('reset').disabled = prompts.isEmpty;
  showZoom();
}

function renderClip() {
  clip.render();
  shownPicture = null;
  showEmpty(stage.scene.picture === null);
  snap.show();
  const { sam, model } = controller;
  panel.showFacts({ device: sam?.deviceInfo ?? null, model: sam?.model ?? null, image: null, decodeMs: null, note: [model?.note, warning].filter(Boolean).join(' ') });
  button('undo').disabled = !clip.canUndo;
  button('reset').disabled = !clip.canReset;
  showZoom();
}

/** A picture is about to be shown. @param {{ width: number, height: number }} size */
function setSize(size) {
  // On a phone the area is no higher than the picture needs.
  area.style.setProperty('--shape', String(size.height / size.width));
  view.setArea({ width: area.clientWidth, height: area.clientHeight });
  view.setPicture(size);
}

/** The invitation in place of a picture; tools are of no use then. @param {boolean} shown */
function showEmpty(shown) {
  const empty = byId('empty', HTMLElement);
  if (empty.hidden === !shown) return;
  const focused = empty.contains(document.activeElement);
  empty.hidden = !shown;
  if (focused) surface.focus({ preventScroll: true }); // what had the focus is gone with it
  if (shown) area.style.removeProperty('--shape');
  byId('toolbar', HTMLElement).inert = shown;
}

function showZoom() {
  button('zoom-fit').textContent = view.isFit ? 'Fit' : `${Math.round((100 * view.scale) / view.fitScale)} %`;
}

const input = new Input(surface, area, view, {
  click: (at, negative) => {
    hover.stop();
    if (clip.isOpen) clip.click(at, negative || removing);
    else controller.click(at, negative || removing);
  },
  box: (box) => {
    setBoxTool(false);
    hover.stop();
    if (clip.isOpen) clip.box(box);
    else controller.box(box);
  },
  drag: (drag) => stage.show({ drag }),
  cursor: (cursor) => stage.show({ cursor }),
  hover: (at) => {
    const wanted = !clip.isOpen && byId('hover', HTMLInputElement).checked && controller.prompts.isEmpty && controller.isIdle;
    if (at !== null && wanted && controller.image !== null) hover.ask(controller.image, at, snap.on);
    else if (stage.scene.preview || at === null) hover.stop();
  },
  viewChanged: () => {
    stage.redraw();
    showZoom();
  },
  boxTool: () => boxTool,
});

/** @param {boolean} on */
function setRemoving(on) {
  removing = on;
  button('add').setAttribute('aria-pressed', String(!on));
  button('remove').setAttribute('aria-pressed', String(on));
}

/** @param {boolean} on */
function setBoxTool(on) {
  boxTool = on;
  button('box').setAttribute('aria-pressed', String(on));
  if (!on) input.cancel();
}

function undo() {
  if (input.cancel()) return;
  if (clip.isOpen) clip.undo();
  else controller.undo();
}

/** What is shown next begins with a click that adds. */
function putToolsAway() {
  setBoxTool(false);
  setRemoving(false);
}

function startOver() {
  if (input.cancel()) return;
  putToolsAway();
  if (clip.isOpen) void clip.reset();
  else controller.reset();
}

function fit() {
  view.fit();
  stage.redraw();
  showZoom();
}

/** @param {Sorted} files */
function takeFiles({ picture, clip: frames, saved, model, config }) {
  if (model !== null) void models.file(model, config);
  if (frames !== null) {
    openClip(frames, saved);
    return;
  }
  if (picture !== null) openPictureOrClip(picture, saved);
  else if (saved !== null) openSaved(saved);
}

/** By what is in it: animated pictures are clips. @param {File} file @param {File | null} saved masks of it */
function openPictureOrClip(file, saved) {
  void openPicture(file, file.name || 'picture', {
    isClip: isAnimated(file).catch(() => false), // a file that cannot be read: opening it says why
    onKnown: (isClip) => {
      if (isClip) openClip(file, saved);
      else if (saved !== null) openSaved(saved);
    },
  });
}

/** @param {File} saved masks of a clip */
function openSaved(saved) {
  if (clip.isOpen) void clip.openSaved(saved);
  else controller.fail(new Sam2Error('bad_prompt', `No video is open for the saved masks of ${saved.name}.`, 'Open the video first, or both together.'), null);
}

/** @param {Blob} blob @param {string} name @param {import('./controller.js').Look} [look] */
function openPicture(blob, name, look) {
  putToolsAway();
  clip.close();
  return controller.openPicture(blob, name, look);
}

/** @param {File | File[]} source @param {File | null} saved its masks */
function openClip(source, saved) {
  putToolsAway();
  controller.closePicture();
  void clip.open(source, Array.isArray(source) ? `${source[0].name} and ${source.length - 1} more` : source.name || 'video', saved);
}

function openCamera() {
  putToolsAway();
  controller.closePicture();
  void clip.openCamera();
}

/** @param {string} file */
async function openSample(file) {
  try {
    const response = await fetch(new URL(`samples/${file}`, import.meta.url));
    if (!response.ok) throw new Sam2Error('bad_image', `The sample could not be fetched: the server answered ${response.status}.`, 'Open a picture of your own.');
    await openPicture(await response.blob(), file);
  } catch (error) {
    controller.fail(error, () => void openSample(file));
  }
}

byId('samples', HTMLElement).append(...SAMPLES.map(({ file, title }) => {
  const sample = make('button', { type: 'button', class: 'sample' },
    make('img', { src: new URL(`samples/${file}`, import.meta.url).href, alt: '', width: '118', height: '80' }), make('span', {}, title));
  sample.addEventListener('click', () => void openSample(file));
  return sample;
}));

const open = byId('open', HTMLInputElement);
open.addEventListener('change', () => {
  if (open.files !== null) takeFiles(sortFiles(open.files));
  open.value = ''; // the same file may be chosen again
});
listenForFiles(byId('drop-veil', HTMLElement), takeFiles);

button('camera').addEventListener('click', openCamera);
button('add').addEventListener('click', () => setRemoving(false));
button('remove').addEventListener('click', () => setRemoving(true));
button('box').addEventListener('click', () => setBoxTool(!boxTool));
button('undo').addEventListener('click', undo);
button('reset').addEventListener('click', startOver);
button('zoom-in').addEventListener('click', () => input.zoomIn());
button('zoom-out').addEventListener('click', () => input.zoomOut());
button('zoom-fit').addEventListener('click', fit);

/** @param {string} id @param {(mask: import('../sam2/index.d.ts').Mask, picture: import('./controller.js').Picture) => Promise<{ blob: Blob, suffix: string }>} work */
function onDownload(id, work) {
  button(id).addEventListener('click', async () => {
    const { mask, picture } = controller;
    if (mask === null || picture === null) return;
    try {
      const { blob, suffix } = await work(mask, picture);
      save(blob, stemOf(picture.name) + suffix);
    } catch (error) {
      controller.fail(error, null);
    }
  });
}
onDownload('download', async (mask) => ({ blob: await mask.toPng(), suffix: '_mask.png' }));
onDownload('download-cutout', async (mask, { blob }) => ({
  blob: await cutout(mask, blob, () => /** @type {NonNullable<typeof controller.sam>} */ (controller.sam).decodeImage(blob)), suffix: '_cutout.png',
}));
onDownload('download-svg', async (mask) => ({ blob: new Blob([await mask.toSvg()], { type: 'image/svg+xml' }), suffix: '_outline.svg' }));
onDownload('download-rle', async (mask, { name }) => ({
  blob: rleJson(mask, name, controller.sam?.device ?? '', controller.model?.name ?? ''), suffix: '_mask.json',
}));

/** @type {Record<string, () => void>} */
const KEYS = {
  z: undo, Z: undo, Escape: startOver, n: () => setRemoving(!removing), N: () => setRemoving(!removing),
  b: () => setBoxTool(!boxTool), B: () => setBoxTool(!boxTool), e: () => snap.toggle(), E: () => snap.toggle(), '+': () => input.zoomIn(), '=': () => input.zoomIn(),
  '-': () => input.zoomOut(), 0: fit, o: () => open.click(), O: () => open.click(),
};
/** While a clip is open, besides. @type {Record<string, () => void>} */
const CLIP_KEYS = {
  ',': () => clip.step(-1), '.': () => clip.step(1), '[': () => clip.key(-1), ']': () => clip.key(1), p: () => clip.togglePlay(), P: () => clip.togglePlay(),
  a: () => clip.addObject(), A: () => clip.addObject(), t: () => clip.track(false), T: () => clip.track(false),
  ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [String(i + 1), () => clip.selectNth(i + 1)])),
};
document.addEventListener('keydown', (event) => {
  const target = /** @type {Element} */ (event.target);
  // Escape closes what is open first, and letters belong to fields that are typed in.
  if (document.querySelector('dialog[open], [popover]:popover-open') !== null) return;
  if (target.matches('input:not([type="file"], [type="checkbox"], [type="range"]), textarea, select')) return;
  const withControl = event.ctrlKey || event.metaKey;
  if (event.altKey || (withControl && event.key !== 'z')) return;
  const action = (clip.isOpen ? CLIP_KEYS[event.key] : undefined) ?? KEYS[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
});

new ResizeObserver(() => {
  view.setArea({ width: area.clientWidth, height: area.clientHeight });
  stage.redraw();
}).observe(area);
view.setArea({ width: area.clientWidth, height: area.clientHeight });
status.show('loading', { text: 'Starting…' });
if (parseDevice(askedDevice) === null) {
  controller.refuseModel(new Sam2Error('bad_setting', `?device=${askedDevice} is not known.`, 'Use auto, webgpu or cpu.'), null);
} else void models.start();
