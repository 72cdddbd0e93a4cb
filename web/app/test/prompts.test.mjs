import assert from 'node:assert/strict';
import test from 'node:test';
import { Prompts, bestOf, chosenMask, promptOf } from '../prompts.js';

const answer = (...ious) => ({ masks: ious.map((iou) => ({ iou })), decodeMs: 1 });
const click = (x, y, label = 1) => ({ x, y, label });

test('one click asks for three masks; the best is chosen; the next refines the chosen one', () => {
  const prompts = new Prompts();
  prompts.addClick(click(3, 4));
  const first = prompts.unanswered;
  assert.deepEqual(promptOf(first), { points: [[3, 4]], labels: [1], box: null, mask: null, multimask: true });
  prompts.answer(first, answer(0.2, 0.9, 0.5));
  assert.equal(first.chosen, 1);
  first.chosen = 2; // a person prefers another
  prompts.addClick(click(8, 9, 0));
  assert.deepEqual(promptOf(prompts.unanswered), {
    points: [[3, 4], [8, 9]], labels: [1, 0], box: null, mask: first.answer.masks[2], multimask: false,
  });
});

test('what is shown stays while the next answer is on its way, and comes back with undo', () => {
  const prompts = new Prompts();
  prompts.addClick(click(1, 1));
  prompts.answer(prompts.last, answer(0.5));
  const shown = prompts.shown;
  prompts.addClick(click(2, 2));
  assert.equal(prompts.shown, shown);
  prompts.answer(prompts.last, answer(0.6));
  assert.notEqual(prompts.shown, shown);
  assert.equal(prompts.undo(), true);
  assert.equal(prompts.shown, shown);
  assert.equal(prompts.unanswered, null, 'nothing has to be computed again');
  prompts.undo();
  assert.equal(prompts.shown, null);
  assert.equal(prompts.undo(), false);
});

test('clicks made before an answer are asked in their order', () => {
  const prompts = new Prompts();
  prompts.addClick(click(1, 1));
  prompts.addClick(click(2, 2));
  const first = prompts.unanswered;
  assert.equal(first.clicks.length, 1);
  prompts.answer(first, answer(0.5));
  const second = prompts.unanswered;
  assert.equal(second.clicks.length, 2);
  assert.equal(promptOf(second).mask, first.answer.masks[0]);
});

test('a box asks for one mask, starts anew and keeps the clicks inside it', () => {
  const prompts = new Prompts();
  prompts.addClick(click(5, 5));
  prompts.addClick(click(50, 50));
  prompts.addBox({ x0: 1, y0: 2, x1: 10, y1: 20 });
  assert.deepEqual(promptOf(prompts.last), { points: [[5, 5]], labels: [1], box: [1, 2, 10, 20], mask: null, multimask: false });
  prompts.undo();
  assert.equal(prompts.last.clicks.length, 2);
});

test('a refused step goes with what later ones have from it; a faulty one is passed over', () => {
  const prompts = new Prompts();
  for (const [x, y] of [[1, 1], [2, 2], [3, 3]]) prompts.addClick(click(x, y));
  const [first, second, third] = [prompts.unanswered, prompts.last.refines, prompts.last];
  prompts.drop(second);
  assert.deepEqual([third.clicks.map(({ x }) => x), third.refines], [[1, 3], first]);
  prompts.addBox({ x0: 0, y0: 0, x1: 2, y1: 2 });
  const box = prompts.last;
  prompts.addClick(click(1, 2));
  prompts.drop(box);
  assert.deepEqual([prompts.last.box, prompts.last.clicks.map(({ y }) => y), prompts.last.refines], [null, [1, 2], third]);
  prompts.drop(box);
  first.faulty = true;
  assert.equal(prompts.unanswered, third);
  prompts.forgetAnswers();
  assert.equal(prompts.unanswered, first, 'another model may answer it');
});

test('another model asks everything again', () => {
  const prompts = new Prompts();
  prompts.addClick(click(1, 1));
  prompts.answer(prompts.last, answer(0.5));
  prompts.forgetAnswers();
  assert.equal(prompts.shown, null);
  assert.equal(prompts.unanswered, prompts.last);
  assert.equal(chosenMask(prompts.last), null);
});

test('the best of equals is the first', () => {
  assert.equal(bestOf([{ iou: 0.5 }, { iou: 0.7 }, { iou: 0.7 }]), 1);
});
