// Builds dist/: the page and its assets under names that carry a hash of their contents, so that the origin can
// serve `assets/` as immutable. Needs `npm ci --ignore-scripts` first.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const src = (name) => join(root, 'src', name);
const dist = join(root, 'dist');

const { outputFiles } = await build({
  entryPoints: [src('main.js'), src('style.css')],
  outdir: join(dist, 'assets'),
  entryNames: '[name]-[hash]',
  bundle: true,
  format: 'esm',
  minify: true,
  target: ['es2022', 'safari16'],
  legalComments: 'none',
  write: false,
});

const assets = outputFiles.map((file) => ({ name: basename(file.path), contents: file.contents }));
assets.push(await hashed('icon.svg'));

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, 'assets'), { recursive: true });
for (const { name, contents } of assets) await writeFile(join(dist, 'assets', name), contents);
await writeFile(join(dist, 'index.html'), await page());

for (const { name, contents } of assets) console.log(`dist/assets/${name}  ${Math.ceil(contents.length / 1024)} KiB`);

async function hashed(file) {
  const contents = await readFile(src(file));
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 8).toUpperCase();
  return { name: `${basename(file, extname(file))}-${hash}${extname(file)}`, contents };
}

/** The page with `%main.js%` and the like replaced by the asset's address, relative to the page's own (`/<stream>`). */
async function page() {
  const template = await readFile(src('index.html'), 'utf8');
  return template.replace(/%(\w+)(\.\w+)%/g, (placeholder, stem, extension) => {
    const asset = assets.find(({ name }) => name.startsWith(`${stem}-`) && name.endsWith(extension));
    if (!asset) throw new Error(`no asset for ${placeholder}`);
    return `assets/${asset.name}`;
  });
}
