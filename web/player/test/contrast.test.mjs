// Text that says what is on the screen can be read by everybody: WCAG 2.2, success criterion 1.4.3.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const css = await readFile(new URL('../src/style.css', import.meta.url), 'utf8');
const variable = (name) => css.match(new RegExp(`--${name}: (#\\w{6})`))[1];
const resolved = (value) => value.replace(/var\(--(\w+)\)/, (_, name) => variable(name));

function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a, b) {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

test('every badge, and "go live", can be read', () => {
  const rules = [...css.matchAll(/^([^\n{]*#(?:badge|golive))(?: \{\s*)([^}]*)\}/gm)];
  const grounds = rules.flatMap(([, selector, body]) => {
    const ground = body.match(/background: ([^;]+);/)?.[1];
    return ground ? [{ selector, ground: resolved(ground), text: resolved(body.match(/[^-]color: (#\w{6})/)?.[1] ?? variable('text')) }] : [];
  });
  assert.ok(grounds.length >= 6, JSON.stringify(grounds));
  for (const { selector, ground, text } of grounds) {
    assert.ok(contrast(text, ground) >= 4.5, `${selector}: ${text} on ${ground} is ${contrast(text, ground).toFixed(2)}:1`);
  }
});
