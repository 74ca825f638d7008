/**
 * POSIX ACLs, acl(5), through their xattrs as setfacl(1) sets them: what they do to the mode and to new files, and
 * (where somebody checks) whom they let in.
 */
import { O } from '../../harness/posix-client.js';
import { type CaseContext, fails, type Family, put, text } from '../suite.js';

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const TAGS = { u: 0x01, user: 0x02, g: 0x04, group: 0x08, m: 0x10, o: 0x20 } as const;
const NO_ID = 0xffffffff;

/** `u:7,user:1001:5,g:5,m:7,o:0` in the form of the xattr (linux/posix_acl_xattr.h, version 2). */
const acl = (entries: string): Buffer => {
  const parts = entries === '' ? [] : entries.split(',');
  const value = Buffer.alloc(4 + parts.length * 8);
  value.writeUInt32LE(2);
  parts.forEach((part, i) => {
    const [tag, ...numbers] = part.split(':');
    value.writeUInt16LE(TAGS[tag as keyof typeof TAGS], 4 + i * 8);
    value.writeUInt16LE(Number(numbers[numbers.length - 1]), 6 + i * 8);
    value.writeUInt32LE(numbers.length > 1 ? Number(numbers[0]) : NO_ID, 8 + i * 8);
  });
  return value;
};

const shown = (c: CaseContext, path: string, name: string): string => {
  const value = c.fs.getxattr(path, name);
  const parts: string[] = [];
  for (let at = 4; at < value.length; at += 8) {
    const number = value.readUInt16LE(at);
    const tag = Object.entries(TAGS).find(([, one]) => one === number)?.[0] ?? '?';
    const id = value.readUInt32LE(at + 4);
    parts.push(`${tag}:${id === NO_ID ? '' : `${id}:`}${value.readUInt16LE(at + 2)}`);
  }
  return parts.join(',');
};
const permissions = (c: CaseContext, path: string): string => (c.fs.lstat(path).mode & 0o7777).toString(8);

const NAMED = 'u:6,user:1001:6,g:4,m:6,o:0';
const NAMED_DEFAULT = 'u:7,user:1001:7,g:5,group:1005:7,m:7,o:5';

export const aclCases: Family = {
  name: 'ACLs',
  needs: 'acls',
  cases: [
    {
      name: 'an access ACL sets the mode: the group bits are the mask; chmod sets the mask',
      run(c) {
        const f = c.p('f');
        put(c, f);
        c.fs.setxattr(f, ACCESS, acl(NAMED));
        c.t.equal(permissions(c, f), '660');
        c.t.equal(shown(c, f, ACCESS), NAMED);
        c.fs.chmod(f, 0o741);
        c.t.equal(permissions(c, f), '741');
        c.t.equal(shown(c, f, ACCESS), 'u:7,user:1001:6,g:4,m:4,o:1');
      },
    },
    {
      name: 'an ACL of three entries is just the mode',
      run(c) {
        const f = c.p('f');
        put(c, f);
        c.fs.setxattr(f, ACCESS, acl(NAMED));
        c.fs.setxattr(f, ACCESS, acl('u:6,g:4,o:4'));
        c.t.equal(permissions(c, f), '644');
        fails(c, 'ENODATA', () => c.fs.getxattr(f, ACCESS));
        c.t.same(c.fs.listxattr(f), []);
      },
    },
    {
      name: 'removing the access ACL keeps the mode',
      run(c) {
        const f = c.p('f');
        put(c, f);
        c.fs.setxattr(f, ACCESS, acl(NAMED));
        c.fs.removexattr(f, ACCESS);
        c.t.equal(permissions(c, f), '660');
        fails(c, 'ENODATA', () => c.fs.getxattr(f, ACCESS));
      },
    },
    {
      name: 'invalid ones: no mask, twice the same, unknown permissions EINVAL; a default ACL on a file EACCES',
      run(c) {
        const f = c.p('f');
        put(c, f);
        for (const wrong of ['u:6,user:1001:6,g:4,o:0', 'u:6,u:6,g:4,o:0', 'u:6,g:4', 'u:9,g:4,o:0']) {
          fails(c, 'EINVAL', () => c.fs.setxattr(f, ACCESS, acl(wrong)), wrong);
        }
        fails(c, 'EINVAL', () => c.fs.setxattr(f, ACCESS, Buffer.from('abc')), 'not an ACL');
        fails(c, 'EACCES', () => c.fs.setxattr(f, DEFAULT, acl('u:6,g:4,o:4')));
        c.t.equal(permissions(c, f), '644');
      },
    },
    {
      name: 'a default ACL: new files and directories inherit it, the umask doesn’t count',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        c.fs.setxattr(d, DEFAULT, acl(NAMED_DEFAULT));
        c.t.equal(permissions(c, d), '755', 'its own mode stays');
        c.fs.umask(0o077);
        c.fs.close(c.fs.open(`${d}/f`, O.WRONLY | O.CREAT, 0o664));
        c.t.equal(permissions(c, `${d}/f`), '664');
        c.t.equal(shown(c, `${d}/f`, ACCESS), 'u:6,user:1001:7,g:5,group:1005:7,m:6,o:4');
        fails(c, 'ENODATA', () => c.fs.getxattr(`${d}/f`, DEFAULT));
        c.fs.mkdir(`${d}/e`, 0o777);
        c.t.equal(permissions(c, `${d}/e`), '775');
        c.t.equal(shown(c, `${d}/e`, ACCESS), NAMED_DEFAULT);
        c.t.equal(shown(c, `${d}/e`, DEFAULT), NAMED_DEFAULT);
        c.fs.mkdir(`${d}/e/deeper`, 0o700);
        c.t.equal(permissions(c, `${d}/e/deeper`), '700');
        c.t.equal(shown(c, `${d}/e/deeper`, DEFAULT), NAMED_DEFAULT);
        c.fs.mknod(`${d}/p`, 0o010660);
        c.t.equal(permissions(c, `${d}/p`), '660');
        c.fs.symlink('x', `${d}/s`);
        c.t.equal(permissions(c, `${d}/s`), '777');
      },
    },
    {
      name: 'a default ACL of three entries: it replaces the umask, and nothing is stored with the file',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        c.fs.setxattr(d, DEFAULT, acl('u:7,g:7,o:1'));
        c.fs.umask(0o077);
        c.fs.close(c.fs.open(`${d}/f`, O.WRONLY | O.CREAT, 0o666));
        c.t.equal(permissions(c, `${d}/f`), '660');
        c.t.same(c.fs.listxattr(`${d}/f`), []);
        c.fs.mkdir(`${d}/e`, 0o777);
        c.t.equal(permissions(c, `${d}/e`), '771');
        c.t.same(c.fs.listxattr(`${d}/e`), [DEFAULT]);
      },
    },
    {
      name: 'without a default ACL the umask counts; a removed one is gone',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        c.fs.setxattr(d, DEFAULT, acl(NAMED_DEFAULT));
        c.fs.removexattr(d, DEFAULT);
        c.fs.umask(0o077);
        c.fs.close(c.fs.open(`${d}/f`, O.WRONLY | O.CREAT, 0o666));
        c.t.equal(permissions(c, `${d}/f`), '600');
        c.t.same(c.fs.listxattr(`${d}/f`), []);
      },
    },
    {
      name: 'O_TMPFILE inherits as a created file does',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        c.fs.setxattr(d, DEFAULT, acl(NAMED_DEFAULT));
        const fd = c.fs.open(d, O.TMPFILE | O.RDWR, 0o660);
        c.fs.linkFd(fd, `${d}/f`);
        c.fs.close(fd);
        c.t.equal(permissions(c, `${d}/f`), '660');
        c.t.equal(shown(c, `${d}/f`, ACCESS), 'u:6,user:1001:7,g:5,group:1005:7,m:6,o:0');
      },
    },
    {
      name: 'a default ACL in a set-group-id directory: group and bit are passed on as well',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        c.fs.chown(d, 0, 4321);
        c.fs.chmod(d, 0o2775);
        c.fs.setxattr(d, DEFAULT, acl(NAMED_DEFAULT));
        c.fs.mkdir(`${d}/e`, 0o770);
        c.t.equal(permissions(c, `${d}/e`), '2770');
        c.t.equal(c.fs.stat(`${d}/e`).gid, 4321);
      },
    },
    {
      name: 'who may do what: named users and groups, cut by the mask',
      needs: 'permissions',
      run(c) {
        const f = c.p('f');
        put(c, f, 'secret');
        c.fs.chmod(f, 0o600);
        const reads = (uid: number, gid: number): boolean =>
          c.fs.asUser(uid, gid, () => {
            try {
              return text(c, f) === 'secret';
            } catch {
              return false;
            }
          });
        c.t.notOk(reads(1001, 1001));
        c.fs.setxattr(f, ACCESS, acl('u:6,user:1001:4,g:0,group:1005:4,m:4,o:0'));
        c.t.ok(reads(1001, 1001), 'the named user');
        c.t.ok(reads(1003, 1005), 'the named group');
        c.t.notOk(reads(1003, 1003), 'others');
        fails(c, 'EACCES', () => c.fs.asUser(1001, 1001, () => c.fs.open(f, O.WRONLY)));
        c.fs.chmod(f, 0o600);
        c.t.notOk(reads(1001, 1001), 'an empty mask shuts them out');
      },
    },
    {
      name: 'only the owner sets ACLs; setting one outside the group drops set-group-id',
      needs: 'permissions',
      run(c) {
        const f = c.p('f');
        put(c, f);
        c.fs.asUser(1001, 1001, () => fails(c, 'EPERM', () => c.fs.setxattr(f, ACCESS, acl(NAMED))));
        c.fs.chown(f, 1001, 4321);
        c.fs.chmod(f, 0o2771);
        c.fs.asUser(1001, 1001, () => c.fs.setxattr(f, ACCESS, acl('u:7,user:1002:7,g:7,m:7,o:1')));
        c.t.equal(permissions(c, f), '771');
      },
    },
  ],
};
