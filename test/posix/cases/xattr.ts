/** Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2), xattr(7). */
import { S, XATTR_CREATE, XATTR_REPLACE } from '../../harness/posix-client.js';
import { fails, type Family, pattern, put, same, text } from '../suite.js';

export const xattrCases: Family = {
  name: 'xattr',
  cases: [
    {
      name: 'set, get, list, replace, remove, on files and directories',
      run(c) {
        put(c, c.p('f'), 'data');
        c.fs.mkdir(c.p('d'));
        for (const name of ['f', 'd']) {
          const path = c.p(name);
          c.t.same(c.fs.listxattr(path), []);
          c.fs.setxattr(path, 'user.one', Buffer.from('1'));
          c.fs.setxattr(path, 'user.two', Buffer.from('22'));
          c.t.same(c.fs.listxattr(path).sort(), ['user.one', 'user.two']);
          c.fs.setxattr(path, 'user.one', Buffer.from('changed'));
          c.t.equal(c.fs.getxattr(path, 'user.one').toString(), 'changed');
          c.fs.removexattr(path, 'user.one');
          fails(c, 'ENODATA', () => c.fs.getxattr(path, 'user.one'));
          fails(c, 'ENODATA', () => c.fs.removexattr(path, 'user.one'));
          c.t.same(c.fs.listxattr(path), ['user.two']);
        }
        c.t.equal(text(c, c.p('f')), 'data');
      },
    },
    {
      name: 'XATTR_CREATE EEXIST, XATTR_REPLACE ENODATA, other flags EINVAL',
      run(c) {
        put(c, c.p('f'));
        const v = Buffer.from('v');
        fails(c, 'ENODATA', () => c.fs.setxattr(c.p('f'), 'user.a', v, XATTR_REPLACE));
        c.fs.setxattr(c.p('f'), 'user.a', v, XATTR_CREATE);
        fails(c, 'EEXIST', () => c.fs.setxattr(c.p('f'), 'user.a', v, XATTR_CREATE));
        c.fs.setxattr(c.p('f'), 'user.a', Buffer.from('w'), XATTR_REPLACE);
        c.t.equal(c.fs.getxattr(c.p('f'), 'user.a').toString(), 'w');
        fails(c, 'EINVAL', () => c.fs.setxattr(c.p('f'), 'user.a', v, 8));
      },
    },
    {
      name: 'sizes: empty values, values of any byte, asking for the size, ERANGE for a short buffer',
      run(c) {
        put(c, c.p('f'));
        c.fs.setxattr(c.p('f'), 'user.empty', Buffer.alloc(0));
        c.t.equal(c.fs.getxattr(c.p('f'), 'user.empty').length, 0);
        c.t.equal(c.fs.getxattrSize(c.p('f'), 'user.empty'), 0);
        const value = Buffer.concat([Buffer.of(0, 255, 10, 0), pattern(500)]);
        c.fs.setxattr(c.p('f'), 'user.bytes', value);
        same(c, c.fs.getxattr(c.p('f'), 'user.bytes'), value, 'bytes');
        c.t.equal(c.fs.getxattrSize(c.p('f'), 'user.bytes'), 504);
        fails(c, 'ERANGE', () => c.fs.getxattr(c.p('f'), 'user.bytes', 503));
        fails(c, 'ERANGE', () => c.fs.listxattr(c.p('f'), 5));
      },
    },
    {
      name: 'a value of 65,536 bytes, 65,537 is E2BIG',
      not: { plain: 'ext4 keeps the attributes of a file in one block, and answers ENOSPC beyond' },
      run(c) {
        put(c, c.p('f'));
        const value = pattern(65536, 3);
        c.fs.setxattr(c.p('f'), 'user.big', value);
        same(c, c.fs.getxattr(c.p('f'), 'user.big'), value, '64 KiB');
        fails(c, 'E2BIG', () => c.fs.setxattr(c.p('f'), 'user.bigger', Buffer.alloc(65537)));
      },
    },
    {
      name: 'all names of a file together have 65,536 bytes at most: ENOSPC; they can still be listed, replaced, removed',
      not: { plain: 'ext4 keeps the attributes of a file in one block, and answers ENOSPC far below' },
      run(c) {
        put(c, c.p('f'));
        // With its NUL a name takes 256 bytes: 256 of them fill the list.
        const name = (i: number): string => `user.${i.toString().padStart(250, 'n')}`;
        for (let i = 0; i < 256; i++) c.fs.setxattr(c.p('f'), name(i), Buffer.of(i));
        fails(c, 'ENOSPC', () => c.fs.setxattr(c.p('f'), 'user.x', Buffer.of(1)));
        c.t.equal(c.fs.listxattr(c.p('f')).length, 256);
        c.fs.setxattr(c.p('f'), name(9), Buffer.from('replaced'));
        c.t.equal(c.fs.getxattr(c.p('f'), name(9)).toString(), 'replaced');
        c.fs.removexattr(c.p('f'), name(10));
        c.fs.setxattr(c.p('f'), 'user.x', Buffer.of(1));
      },
    },
    {
      name: 'names: 255 bytes at most (ERANGE beyond), not UTF-8, a bare prefix EINVAL, no namespace EOPNOTSUPP',
      run(c) {
        put(c, c.p('f'));
        const longest = `user.${'n'.repeat(250)}`;
        c.fs.setxattr(c.p('f'), longest, Buffer.from('v'));
        c.t.same(c.fs.listxattr(c.p('f')), [longest]);
        fails(c, 'ERANGE', () => c.fs.setxattr(c.p('f'), `${longest}n`, Buffer.from('v')));
        fails(c, 'ERANGE', () => c.fs.getxattr(c.p('f'), ''));
        fails(c, 'EOPNOTSUPP', () => c.fs.setxattr(c.p('f'), 'nonsense.x', Buffer.from('v')));
        fails(c, 'EOPNOTSUPP', () => c.fs.setxattr(c.p('f'), 'nodot', Buffer.from('v')));
        fails(c, 'EINVAL', () => c.fs.setxattr(c.p('f'), 'user.', Buffer.from('v')));
      },
    },
    {
      name: 'namespaces: trusted and security work for root, user.* not on symlinks and special files',
      run(c) {
        put(c, c.p('f'));
        c.fs.setxattr(c.p('f'), 'trusted.t', Buffer.from('1'));
        c.fs.setxattr(c.p('f'), 'security.s', Buffer.from('2'));
        c.fs.setxattr(c.p('f'), 'user.u', Buffer.from('3'));
        c.t.same(c.fs.listxattr(c.p('f')).sort(), ['security.s', 'trusted.t', 'user.u']);
        c.fs.symlink('f', c.p('s'));
        c.fs.mknod(c.p('p'), S.IFIFO | 0o600);
        for (const name of ['s', 'p']) {
          fails(c, 'EPERM', () => c.fs.setxattr(c.p(name), 'user.x', Buffer.from('v')), `EPERM for ${name}`);
          c.fs.setxattr(c.p(name), 'trusted.x', Buffer.from('v'));
          c.t.equal(c.fs.getxattr(c.p(name), 'trusted.x').toString(), 'v');
        }
        c.t.equal(c.fs.getxattr(c.p('f'), 'trusted.t').toString(), '1', 'the target is untouched');
      },
    },
    {
      name: 'an ordinary user: no trusted.*, user.* by the file mode',
      needs: 'permissions',
      run(c) {
        put(c, c.p('f'));
        c.fs.setxattr(c.p('f'), 'trusted.t', Buffer.from('1'));
        c.fs.setxattr(c.p('f'), 'user.u', Buffer.from('1'));
        c.fs.chmod(c.p('f'), 0o644);
        c.fs.asUser(1001, 1001, () => {
          c.t.equal(c.fs.getxattr(c.p('f'), 'user.u').toString(), '1');
          fails(c, 'EACCES', () => c.fs.setxattr(c.p('f'), 'user.u', Buffer.from('2')));
          fails(c, 'EPERM', () => c.fs.setxattr(c.p('f'), 'trusted.t', Buffer.from('2')));
          fails(c, 'ENODATA', () => c.fs.getxattr(c.p('f'), 'trusted.t'));
        });
      },
    },
    {
      name: 'an ordinary user doesn’t see trusted.* in the list',
      needs: 'permissions',
      not: {
        mount:
          'the kernel asks FUSE as the caller and shows what it answers: xattr(7) leaves that to the filesystem',
      },
      run(c) {
        put(c, c.p('f'));
        c.fs.setxattr(c.p('f'), 'trusted.t', Buffer.from('1'));
        c.fs.asUser(1001, 1001, () => c.t.same(c.fs.listxattr(c.p('f')), []));
      },
    },
    {
      name: 'fifty attributes on one file',
      run(c) {
        put(c, c.p('f'));
        const wanted: string[] = [];
        for (let i = 0; i < 50; i++) {
          wanted.push(`user.attribute-${i}`);
          c.fs.setxattr(c.p('f'), `user.attribute-${i}`, Buffer.from(`value ${i}`));
        }
        c.t.same(c.fs.listxattr(c.p('f')).sort(), wanted.sort());
        for (let i = 0; i < 50; i += 2) c.fs.removexattr(c.p('f'), `user.attribute-${i}`);
        c.t.equal(c.fs.listxattr(c.p('f')).length, 25);
        c.t.equal(c.fs.getxattr(c.p('f'), 'user.attribute-7').toString(), 'value 7');
      },
    },
    {
      name: 'attributes belong to the inode: hard links share them, renames keep them, an unlink drops them',
      run(c) {
        put(c, c.p('f'));
        c.fs.setxattr(c.p('f'), 'user.a', Buffer.from('1'));
        c.fs.link(c.p('f'), c.p('g'));
        c.t.equal(c.fs.getxattr(c.p('g'), 'user.a').toString(), '1');
        c.fs.unlink(c.p('f'));
        c.fs.rename(c.p('g'), c.p('f'));
        c.t.equal(c.fs.getxattr(c.p('f'), 'user.a').toString(), '1');
        c.fs.unlink(c.p('f'));
        put(c, c.p('f'));
        c.t.same(c.fs.listxattr(c.p('f')), []);
        fails(c, 'ENOENT', () => c.fs.setxattr(c.p('no'), 'user.a', Buffer.from('1')));
      },
    },
  ],
};
