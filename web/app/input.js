/**
 * Pointer and keyboard on the canvas, turned into clicks, boxes and view changes in image pixels.
 *
 * A press without movement is a click, with movement a box. Two fingers, the middle button or Space
 * move the view.
 */

/** @typedef {import('./types.js').ImagePx} ImagePx */
/** @typedef {import('./types.js').AreaPx} AreaPx */
/** @typedef {import('./types.js').ImageBox} ImageBox */
/** @typedef {import('./view.js').View} View */

/** CSS pixels: less is a click with an unsteady hand. */
const DRAG_FROM = { mouse: 4, pen: 6, touch: 10 };
const LONG_PRESS_MS = 480;
/** In image pixels; the engine refuses a box without area. */
const SMALLEST_BOX = 1;
const ZOOM_STEP = 1.5;

/**
 * @typedef {object} Actions
 * @property {(at: ImagePx, negative: boolean) => void} click
 * @property {(box: ImageBox) => void} box
 * @property {(drag: ImageBox | null) => void} drag
 * @property {(at: ImagePx | null) => void} hover
 * @property {(at: ImagePx | null) => void} cursor
 * @property {() => void} viewChanged
 * @property {() => boolean} boxTool whether the box tool is chosen
 */

/** @typedef {{ pointer: number, from: AreaPx, kind: 'click' | 'box' | 'pan', negative: boolean, last: AreaPx, longPress: number }} Gesture */

export class Input {
  /** @type {HTMLCanvasElement} */
  #canvas;
  /** @type {HTMLElement} */
  #area;
  /** @type {View} */
  #view;
  /** @type {Actions} */
  #actions;
  /** @type {Map<number, AreaPx>} */
  #touches = new Map();
  /** @type {Gesture | null} */
  #gesture = null;
  /** The first corner of a box made with two clicks. @type {ImagePx | null} */
  #corner = null;
  /** @type {ImagePx | null} */
  #cursor = null;
  #space = false;

  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} area @param {View} view @param {Actions} actions */
  constructor(canvas, area, view, actions) {
    this.#canvas = canvas;
    this.#area = area;
    this.#view = view;
    this.#actions = actions;
    canvas.addEventListener('pointerdown', (event) => this.#down(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', (event) => this.#up(event));
    canvas.addEventListener('pointercancel', (event) => this.#release(event));
    canvas.addEventListener('pointerleave', () => actions.hover(null));
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    canvas.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener('keydown', (event) => this.#key(event));
    canvas.addEventListener('blur', () => this.#setCursor(null));
    document.addEventListener('keyup', (event) => {
      if (event.key === ' ') this.#space = false;
    });
  }

  /** Drops a gesture, a half-made box and the keyboard's cursor. @returns {boolean} whether there was a box to drop */
  cancel() {
    const had = this.#corner !== null || this.#gesture?.kind === 'box';
    this.#endGesture();
    this.#corner = null;
    this.#actions.drag(null);
    return had;
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.#view.zoom(factor, { x: this.#view.area.width / 2, y: this.#view.area.height / 2 });
    this.#actions.viewChanged();
  }

  zoomIn() {
    this.zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM_STEP);
  }

  /** @param {MouseEvent} event @returns {AreaPx} */
  #areaFromEvent(event) {
    const rect = this.#area.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  }

  /** @param {AreaPx} at @returns {ImagePx} inside the picture */
  #imageFromArea(at) {
    return this.#view.clamp(this.#view.imageFromArea(at));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const at = this.#areaFromEvent(event);
    this.#setCursor(null);
    this.#canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === 'touch') {
      this.#touches.set(event.pointerId, at);
      if (this.#touches.size > 1) {
        this.#endGesture(); // a second finger: the first was not a click
        this.#actions.drag(null);
        return;
      }
    }
    if (this.#gesture !== null) return;
    const pan = event.button === 1 || (event.button === 0 && this.#space);
    if (!pan && event.button !== 0 && event.button !== 2) return;
    if (event.button !== 0) event.preventDefault(); // no autoscroll
    this.#gesture = {
      pointer: event.pointerId, from: at, last: at, kind: pan ? 'pan' : 'click',
      // Control-click is the right click of a Mac.
      negative: event.button === 2 || event.altKey || event.ctrlKey, longPress: 0,
    };
    this.#canvas.classList.toggle('panning', pan);
    if (event.pointerType === 'touch') {
      this.#gesture.longPress = window.setTimeout(() => {
        this.#endGesture();
        navigator.vibrate?.(15);
        this.#click(this.#imageFromArea(at), true);
      }, LONG_PRESS_MS);
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const at = this.#areaFromEvent(event);
    if (event.pointerType === 'touch' && this.#touches.size > 1) {
      this.#pinch(event.pointerId, at);
      return;
    }
    const gesture = this.#gesture;
    if (gesture === null || gesture.pointer !== event.pointerId) {
      if (this.#corner !== null) this.#actions.drag(boxBetween(this.#corner, this.#imageFromArea(at)));
      else if (event.pointerType !== 'touch') this.#actions.hover(this.#view.clampToPixels(this.#view.imageFromArea(at)));
      return;
    }
    if (gesture.kind === 'pan') {
      this.#view.pan(at.x - gesture.last.x, at.y - gesture.last.y);
      gesture.last = at;
      this.#actions.viewChanged();
      return;
    }
    const from = DRAG_FROM[/** @type {keyof typeof DRAG_FROM} */ (event.pointerType)] ?? DRAG_FROM.mouse;
    if (gesture.kind === 'click' && Math.hypot(at.x - gesture.from.x, at.y - gesture.from.y) >= from) {
      gesture.kind = 'box';
      clearTimeout(gesture.longPress);
      this.#corner = null;
      this.#actions.hover(null);
    }
    if (gesture.kind === 'box') this.#actions.drag(boxBetween(this.#imageFromArea(gesture.from), this.#imageFromArea(at)));
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const gesture = this.#gesture;
    this.#release(event);
    if (gesture === null || gesture.pointer !== event.pointerId) return;
    const at = this.#imageFromArea(this.#areaFromEvent(event));
    if (gesture.kind === 'box') this.#finishBox(this.#imageFromArea(gesture.from), at);
    // Where the press began: a small slip while letting go does not move the click.
    else if (gesture.kind === 'click') this.#press(this.#imageFromArea(gesture.from), gesture.negative);
  }

  /** A click, or a corner of a box with the box tool. @param {ImagePx} at @param {boolean} negative */
  #press(at, negative) {
    if (!this.#actions.boxTool() || negative) {
      this.#click(at, negative);
      return;
    }
    if (this.#corner === null) {
      this.#corner = at;
      this.#actions.drag(boxBetween(at, at));
    } else {
      this.#finishBox(this.#corner, at);
    }
  }

  /** A corner may lie on the picture's far edges, a click has to lie in a pixel. @param {ImagePx} at @param {boolean} negative */
  #click(at, negative) {
    this.#actions.click(this.#view.clampToPixels(at), negative);
  }

  /** @param {ImagePx} a @param {ImagePx} b */
  #finishBox(a, b) {
    this.#corner = null;
    this.#actions.drag(null);
    const box = boxBetween(a, b);
    if (box.x1 - box.x0 >= SMALLEST_BOX && box.y1 - box.y0 >= SMALLEST_BOX) this.#actions.box(box);
  }

  /** @param {PointerEvent} event */
  #release(event) {
    this.#touches.delete(event.pointerId);
    if (this.#gesture?.pointer !== event.pointerId) return;
    if (event.type === 'pointercancel') this.#actions.drag(null);
    this.#endGesture();
  }

  #endGesture() {
    clearTimeout(this.#gesture?.longPress);
    this.#gesture = null;
    this.#canvas.classList.remove('panning');
  }

  /** @param {number} pointer @param {AreaPx} at */
  #pinch(pointer, at) {
    const before = [...this.#touches.values()].slice(0, 2);
    this.#touches.set(pointer, at);
    const after = [...this.#touches.values()].slice(0, 2);
    const middle = (/** @type {AreaPx[]} */ [a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    const spread = (/** @type {AreaPx[]} */ [a, b]) => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
    const [from, to] = [middle(before), middle(after)];
    this.#view.pan(to.x - from.x, to.y - from.y);
    this.#view.zoom(spread(after) / spread(before), to);
    this.#actions.viewChanged();
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    if (event.shiftKey) {
      this.#view.pan(-(event.deltaX || event.deltaY), 0);
    } else {
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      // A trackpad's pinch arrives as a wheel with Control held, in much smaller steps.
      this.#view.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018)), this.#areaFromEvent(event));
    }
    this.#actions.viewChanged();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === ' ') {
      this.#space = true;
      event.preventDefault();
      return;
    }
    const step = event.shiftKey ? 1 : 10 / this.#view.scale;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[event.key];
    if (move !== undefined) {
      event.preventDefault();
      const from = this.#cursor ?? { x: this.#view.picture.width / 2, y: this.#view.picture.height / 2 };
      const to = this.#cursor === null ? from : this.#view.clamp({ x: from.x + move[0], y: from.y + move[1] });
      this.#setCursor(to);
      if (this.#corner !== null) this.#actions.drag(boxBetween(this.#corner, to));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      if (this.#cursor === null) this.#setCursor({ x: this.#view.picture.width / 2, y: this.#view.picture.height / 2 });
      else this.#press(this.#cursor, event.altKey || event.shiftKey);
    }
  }

  /** @param {ImagePx | null} at */
  #setCursor(at) {
    if (at === null && this.#cursor === null) return;
    this.#cursor = at;
    this.#actions.cursor(at);
  }
}

/** @param {ImagePx} a @param {ImagePx} b @returns {ImageBox} */
function boxBetween(a, b) {
  return { x0: Math.min(a.x, b.x), y0: Math.min(a.y, b.y), x1: Math.max(a.x, b.x), y1: Math.max(a.y, b.y) };
}
