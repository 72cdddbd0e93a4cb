/** The page while a clip is open: connects the clip, its frames, the timeline and the panel. */
import { isAbort } from '../../sam2/errors.js';
import { byId } from '../dom.js';
import { ClipCard } from './card.js';
import { Clip } from './clip.js';
import { Estimate } from './estimate.js';
import { mayForget } from './forget.js';
import { Live } from './live.js';
import { layersOf } from './overlay.js';
import { Player } from './player.js';
import { parseSaved } from './saved.js';
import { Saving } from './saving.js';
import { Timeline } from './timeline.js';

/** @typedef {import('../../sam2/client.js').Sam2} Sam2 */
/** @typedef {import('../../sam2/index.d.ts').VideoSource} VideoSource */
/** @typedef {import('../../sam2/index.d.ts').FrameResult} FrameResult */
/** @typedef {import('../types.js').ImagePx} ImagePx */
/** @typedef {import('../types.js').ImageBox} ImageBox */
/** @typedef {import('../types.js').PageState} PageState */
/** @typedef {import('../status.js').Message} Message */

/**
 * @typedef {object} ModeOptions
 * @property {import('../stage.js').Stage} stage
 * @property {(size: { width: number, height: number }) => void} onSize pictures of this size are about to be shown
 * @property {() => Promise<Sam2>} sam once a model is there
 * @property {() => import('./clip.js').VideoLimits} limits asked once a model is there: before, the server may not have told
 * @property {() => { device: string, model: string, isSmall: boolean }} engine
 * @property {() => void} onSmallModel
 * @property {() => void} onAsk something is asked of the clip: an error of before is over
 * @property {() => void} onNewObject the next click is about another thing
 * @property {() => void} onChange the state, or what can be undone, has changed
 * @property {(progress: import('../../sam2/index.d.ts').Progress) => void} onProgress
 */

const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);

export class ClipMode {
  /** @type {ModeOptions} */
  #options;
  /** @type {Clip | null} */
  #clip = null;
  /** @type {Player | null} */
  #player = null;
  /** @type {Live | null} */
  #live = null;
  /** The frame on the screen: behind the one asked for while that is read. */
  #shownFrame = 0;
  /** Masks that wait until the clip is open. @type {File | null} */
  #saved = null;
  /** While it tracks, the frame that was tracked last is shown, unless the person looks elsewhere. */
  #follow = true;
  /** @type {{ engine: string, estimate: Estimate } | null} */
  #speed = null;
  #saving;
  #timeline;
  #card;

  /** @param {ModeOptions} options */
  constructor(options) {
    this.#options = options;
    this.#saving = new Saving({ engine: options.engine, onChange: options.onChange, onProgress: options.onProgress });
    this.#timeline = new Timeline({
      go: (frame) => this.go(frame), togglePlay: () => this.togglePlay(), select: (id) => this.#clip?.select(id),
    });
    this.#card = new ClipCard({ select: (id) => this.#clip?.select(id), remove: (id) => void this.#remove(id) }, options.engine);
    /** @type {Record<string, () => void>} */
    const actions = {
      'step-back': () => this.step(-1), 'step-on': () => this.step(1), 'key-back': () => this.key(-1), 'key-on': () => this.key(1),
      'add-object': () => this.addObject(), track: () => this.track(false), 'track-both': () => this.track(true), 'track-stop': () => this.#clip?.cancel(),
      'use-small-button': () => options.onSmallModel(), 'save-masks': () => this.#save((clip) => this.#saving.masks(clip)),
      'save-json': () => this.#save((clip) => this.#saving.json(clip)), 'save-video': () => this.#save((clip) => this.#saving.video(clip, this.#player)),
      'close-clip': () => this.close(),
    };
    for (const [id, action] of Object.entries(actions)) button(id).addEventListener('click', action);
    const open = byId('open-json', HTMLInputElement);
    open.addEventListener('change', () => {
      const file = open.files?.[0];
      open.value = '';
      if (file !== undefined) void this.openSaved(file);
    });
  }

  get isOpen() {
    return this.#clip !== null;
  }

  get canUndo() {
    return this.#clip?.tracks.canUndo ?? false;
  }

  get canReset() {
    return (this.#clip?.tracks.objects.length ?? 0) > 0;
  }

  /** @param {VideoSource} source @param {string} name @param {File | null} [saved] its masks, to be loaded when it is open */
  async open(source, name, saved = null) {
    const clip = this.#begin(name);
    this.#saved = saved;
    const sam = await this.#options.sam();
    const options = { limits: this.#options.limits(), retry: () => void this.open(source, name, this.#saved) };
    if (clip !== this.#clip || !await clip.open(sam, source, options) || clip !== this.#clip || clip.video === null) return;
    this.#player = new Player(clip.video, {
      onShow: (bitmap, frame) => this.#show(bitmap, frame),
      onError: (error) => clip.fail(error, () => {
        clip.goOn();
        this.go(this.frame);
      }),
    });
    this.#options.onSize(clip.video);
    this.go(0);
    const waiting = this.#saved;
    this.#saved = null;
    if (waiting !== null) await this.openSaved(waiting);
  }

  async openCamera() {
    const clip = this.#begin('camera');
    let shown = false;
    const live = new Live((bitmap, frame) => {
      if (!shown && clip.video !== null) this.#options.onSize(clip.video);
      shown = true;
      this.#show(bitmap, frame);
      this.render();
    });
    this.#live = live;
    try {
      await live.open();
      const sam = await this.#options.sam();
      const options = { limits: this.#options.limits(), retry: () => void this.openCamera() };
      if (clip === this.#clip && await clip.open(sam, { live: true }, options)) await live.follow(clip);
      else live.close();
    } catch (error) {
      live.close();
      if (clip === this.#clip && !isAbort(error)) clip.fail(error, () => void this.openCamera());
    }
  }

  close() {
    if (this.#clip === null) return;
    this.#saving.now?.abort.abort();
    this.#options.stage.show({ picture: null, layers: null, clicks: [], box: null, color: null });
    this.#live?.close();
    this.#live = null;
    this.#player?.close();
    this.#player = null;
    this.#clip.close();
    this.#clip = null;
    this.#saved = null;
    this.#card.forgetMask();
    this.render();
    this.#options.onChange();
  }

  /** The frame that clicks are about. */
  get frame() {
    return this.#live?.frame ?? this.#player?.frame ?? 0;
  }

  /** @param {ImagePx} at @param {boolean} negative */
  click(at, negative) {
    this.#beforePrompt();
    this.#clip?.click(this.frame, at, negative);
  }

  /** @param {ImageBox} box */
  box(box) {
    this.#beforePrompt();
    this.#clip?.box(this.frame, box);
  }

  #beforePrompt() {
    this.#options.onAsk();
    this.#player?.pause();
    // A camera that stands still after an error goes on: so does the person.
    if (this.#clip !== null) void this.#live?.follow(this.#clip);
  }

  undo() {
    this.#options.onAsk();
    const frame = this.#clip?.undo() ?? null;
    if (frame !== null && this.#live === null) this.go(frame);
  }

  /** Starts over. What took minutes to track is not lost to one key: a pass is stopped first, and masks are asked about. */
  async reset() {
    const clip = this.#clip;
    if (clip === null) return;
    this.#options.onAsk();
    if (clip.tracking !== null) {
      clip.cancel();
      return;
    }
    const { objects } = clip.tracks;
    const tracked = clip.tracks.trackedFrames();
    const many = `${objects.length.toLocaleString('en')} ${objects.length === 1 ? 'object' : 'objects'}`;
    if (tracked > 0 && !(await mayForget(`${many} and their masks`, tracked))) return;
    if (clip === this.#clip) await clip.reset();
  }

  /** @param {number} id */
  async #remove(id) {
    const clip = this.#clip;
    const object = clip?.tracks.object(id);
    if (clip === null || object === undefined) return;
    const tracked = clip.tracks.trackedFrames(object);
    if (tracked > 0 && !(await mayForget(`${object.name} and its masks`, tracked))) return;
    if (clip === this.#clip) await clip.remove(id);
  }

  /** @param {number} frame */
  go(frame) {
    if (this.#player === null) return;
    if (this.#clip?.tracking != null) this.#follow = false;
    this.#player.pause();
    this.#player.show(frame);
    this.render();
  }

  /** @param {number} by */
  step(by) {
    this.go(this.frame + by);
  }

  /** To the next frame on which something was said. @param {number} direction */
  key(direction) {
    const keys = this.#clip?.tracks.keyFrames() ?? [];
    const next = direction > 0 ? keys.find((frame) => frame > this.frame) : keys.findLast((frame) => frame < this.frame);
    if (next !== undefined) this.go(next);
  }

  togglePlay() {
    const player = this.#player;
    if (player === null) return;
    if (player.playing) player.pause();
    else void player.play(() => this.render());
  }

  addObject() {
    if (this.#clip?.video == null) return;
    this.#options.onNewObject();
    this.#clip.addObject();
    this.#reveal();
  }

  /** @param {number} number from 1 on, in the order of the list */
  selectNth(number) {
    const object = this.#clip?.tracks.objects[number - 1];
    if (object !== undefined) this.#clip?.select(object.id);
  }

  /** @param {boolean} both */
  track(both) {
    this.#options.onAsk();
    this.#player?.pause();
    this.#follow = true;
    this.#reveal();
    void this.#clip?.track(both);
  }

  /** On a phone the panel lies under the picture, and what happens next is in the picture. */
  #reveal() {
    if (window.matchMedia('(max-width: 760px)').matches) window.scrollTo({ top: 0, behavior: 'smooth' });
  }

  /** @param {boolean} snap whether the new one's masks are snapped to edges */
  modelChanged(snap) {
    void this.setSnap(snap); // known before anything is asked
    return this.#clip?.modelChanged();
  }

  /** Whether masks from the next answer on are snapped to edges. @param {boolean} on */
  async setSnap(on) {
    const clip = this.#clip;
    try {
      await clip?.video?.setSnap(on);
    } catch (error) {
      if (clip === this.#clip && !isAbort(error)) clip?.fail(error, () => void this.setSnap(on));
    }
  }

  /** Loads masks that were saved, at once or when the clip is open. @param {File} file */
  async openSaved(file) {
    const clip = this.#clip;
    if (clip === null) return;
    const { video } = clip;
    if (video === null) {
      this.#saved = file;
      return;
    }
    try {
      const { frames, prompted } = parseSaved(await file.text(), video);
      /** @type {FrameResult[]} */
      const answers = [];
      for (const { frame, objects } of frames) {
        const found = objects.map(async ({ object, visible, score, iou, segmentation }) => ({
          id: object, visible, score, iou, prompted: prompted.get(object)?.has(frame) ?? false, mask: await video.maskFromRle(segmentation),
        }));
        answers.push({ frame, ms: 0, objects: await Promise.all(found) });
      }
      await clip.restore(answers, prompted);
      this.go(answers[0].frame);
    } catch (error) {
      clip.fail(error);
    }
  }

  /** @returns {{ state: PageState, message: Message }} */
  describe() {
    const saving = this.#saving.now;
    if (saving !== null) {
      return { state: 'decoding', message: { text: `${saving.text}, ${saving.done} of ${saving.total} frames`, cancel: () => saving.abort.abort() } };
    }
    const described = this.#clip?.describe() ?? { state: /** @type {PageState} */ ('ready'), message: { text: 'Ready.' } };
    if (this.#clip?.video === null && described.state === 'encoding') described.message.cancel = () => this.close();
    const speed = this.#live?.speed ?? null;
    if (speed !== null && described.state === 'idle' && (this.#clip?.tracks.objects.length ?? 0) > 0) described.message.text = `Tracking live, ${speed.toFixed(1)} frames a second.`;
    return described;
  }

  /** Draws what the clip holds. */
  render() {
    const clip = this.#clip;
    const open = clip !== null;
    const video = clip?.video ?? null;
    const live = this.#live !== null;
    document.body.dataset.mode = open ? (live ? 'live' : 'clip') : 'picture';
    this.#timeline.setShown(video !== null && !live);
    this.#card.setShown(open);
    if (clip === null) return;
    const { tracks } = clip;
    const { frame } = this;
    const { clicks, box } = tracks.prompt(frame, tracks.active);
    this.#options.stage.show({ layers: layersOf(tracks, this.#shownFrame), clicks, box, color: tracks.activeObject?.color ?? null });
    this.#card.show(clip, frame, this.#saving.now !== null);
    if (video === null || live) return;
    const seconds = video.times?.[frame] ?? (video.fps === null ? null : frame / video.fps);
    this.#timeline.show({ frame, frames: video.length, seconds, playing: this.#player?.playing ?? false, tracks });
  }

  /** @param {string} name @returns {Clip} */
  #begin(name) {
    this.close();
    const clip = new Clip(name, {
      onChange: () => {
        if (clip === this.#clip) this.#options.onChange();
      },
      onProgress: this.#options.onProgress,
      onTracked: (frame) => {
        if (clip.tracking !== null && this.#follow && clip === this.#clip) this.#player?.show(frame);
      },
      estimateOf: (objectCost) => this.#estimateOf(objectCost),
    });
    this.#clip = clip;
    this.#follow = true;
    this.render();
    this.#options.onChange();
    return clip;
  }

  /** What was learned from earlier clips holds for as long as model and device are the same. @param {number} objectCost */
  #estimateOf(objectCost) {
    const { device, model } = this.#options.engine();
    const engine = `${device} ${model} ${objectCost}`;
    if (this.#speed?.engine !== engine) this.#speed = { engine, estimate: new Estimate(objectCost) };
    return this.#speed.estimate;
  }

  /** @param {ImageBitmap} bitmap @param {number} frame */
  #show(bitmap, frame) {
    const clip = this.#clip;
    if (clip === null) return;
    const { stage, onChange } = this.#options;
    const first = stage.scene.picture === null;
    this.#shownFrame = frame;
    stage.show({ picture: bitmap, mask: null, preview: false, layers: layersOf(clip.tracks, frame) });
    stage.draw(); // at once: the canvas has its place before anything asks where it is
    if (first) onChange(); // there is something to work on now
  }

  /** @param {(clip: Clip) => unknown} work */
  #save(work) {
    if (this.#clip === null) return;
    this.#player?.pause();
    void work(this.#clip);
  }
}
