/** Which transport is chosen, and what is said where fuse-native did not install. */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { chooseTransport } from '../../../src/daemon/transport.js';
import { loadBinding, type FuseClass } from '../../../src/fuse/fuse-native/binding.js';

const binding = class {} as unknown as FuseClass;
const fine = { platform: 'linux', kernelProblem: () => undefined, loadBinding: () => binding };

/** A directory where modules are looked for, with such a fuse-native in it; removed afterwards. */
const withPackage = (
  t: { teardown(act: () => void): void },
  version: string | undefined,
  main = '',
): string => {
  const root = mkdtempSync(join(tmpdir(), 'vnodefs-modules-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  if (version !== undefined) {
    const folder = join(root, 'node_modules/fuse-native');
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: 'fuse-native', version, main: 'index.js' }),
    );
    writeFileSync(join(folder, 'index.js'), main);
  }
  return join(root, 'from.js');
};

void t.test('the kernel transport where it works, with its reason', (t) => {
  t.strictSame(chooseTransport('auto', fine).transport, { name: 'kernel', reason: '/dev/fuse is there' });
  t.equal(
    chooseTransport('kernel', { ...fine, loadBinding: () => t.fail('not asked for') as never }).binding,
    undefined,
  );
  const asked = chooseTransport('fuse-native', fine);
  t.strictSame([asked.transport.reason, asked.binding], ['asked for', binding]);
  const instead = chooseTransport('auto', {
    ...fine,
    kernelProblem: () => "/dev/fuse can't be opened (ENOENT)",
  });
  t.strictSame(instead.transport, { name: 'fuse-native', reason: "/dev/fuse can't be opened (ENOENT)" });
  t.end();
});

void t.test('not installed: auto goes on with the kernel, asking for it gets one sentence', (t) => {
  const missing = { ...fine, loadBinding: () => loadBinding(withPackage(t, undefined)) };
  t.equal(chooseTransport('auto', missing).transport.name, 'kernel');
  t.throws(() => chooseTransport('fuse-native', missing), {
    message:
      "The transport fuse-native can't be used: the package fuse-native is not installed. " +
      'Use --transport kernel, or install it as the README says.',
  });
  t.throws(() => chooseTransport('auto', { ...missing, kernelProblem: () => 'there is no /dev/fuse' }), {
    message:
      'Nothing can be mounted here: there is no /dev/fuse. ' +
      "The transport fuse-native can't be used: the package fuse-native is not installed.",
  });
  t.end();
});

void t.test('installed, but of no use', (t) => {
  const load = (version: string, main: string) => () => loadBinding(withPackage(t, version, main));
  t.throws(load('3.0.0', ''), { message: /its version 3.0.0 is not 2.2.6/ });
  t.throws(load('2.2.6', "throw new Error('No native build was found for platform=x')"), {
    message: /it has no build for/,
  });
  t.throws(load('2.2.6', "throw new Error('libfuse.so.2: cannot open shared object file: No such file')"), {
    message: /its library libfuse.so.2 is missing \(package libfuse2\)/,
  });
  t.end();
});
