/** A small store with one of everything, and the kinds of damage that fsck must find and repair. */
import { asIno, byteName, ROOT_INO } from '../../../src/base/ids.js';
import { dir, file, WriterRig } from './scratch.js';

/** Root 1 { d 2 { f 3 }, f-hard 3, big 4, ln 5 }, orphan 6; f is inline, big has two chunks. */
export function soundStore(path: string): void {
  const rig = new WriterRig(path, { chunkBytes: 8192 });
  rig.pool.fill(7);
  const { ops } = rig;
  ops.putInode(dir(1, 1, { nlink: 3, nextCookie: 7, size: 4 }));
  ops.putInode(dir(2, 1, { nextCookie: 4, size: 1 }));
  ops.putInode(file(3, { nlink: 2, size: 100, allocPages: 1, xattrCount: 1 }));
  ops.putInode(file(4, { size: 12000, allocPages: 3 }));
  ops.putInode(file(5, { mode: 0o120777, size: 6 }));
  ops.putInode(file(6, { nlink: 0 }));
  ops.putDirent(ROOT_INO, byteName('d'), asIno(2), 4, 3);
  ops.putDirent(asIno(2), byteName('f'), asIno(3), 8, 3);
  ops.putDirent(ROOT_INO, byteName('f-hard'), asIno(3), 8, 4);
  ops.putDirent(ROOT_INO, byteName('big'), asIno(4), 8, 5);
  ops.putDirent(ROOT_INO, byteName('ln'), asIno(5), 10, 6);
  ops.setSymlink(asIno(5), Buffer.from('target'));
  ops.setXattr(asIno(3), byteName('user.a'), Buffer.from('1'));
  ops.writePages(asIno(3), 0, 100, [0], [0], 1);
  ops.writePages(asIno(4), 0, 12000, [0, 1], [0, 1], 2);
  ops.writePages(asIno(4), 1, 12000, [0], [2], 1);
  ops.addOrphan(asIno(6));
  ops.setCounters({ nextIno: 7, inodeCount: 6, allocPages: 4 });
  rig.commit(true);
  rig.writer.close();
}

/** `[SQL that does the damage, rules that must be among the findings]` */
export const damages: [string, ...string[]][] = [
  ['UPDATE inode SET mode = 33188, nlink = 1 WHERE ino = 1', 'root'],
  ['UPDATE inode SET parent = 2 WHERE ino = 1', 'root'],
  ['UPDATE inode SET mode = 420 WHERE ino = 6', 'inode-type'],
  ['UPDATE inode SET mtime_nsec = 1000000000 WHERE ino = 3', 'inode-fields'],
  ['UPDATE inode SET parent = 0 WHERE ino = 2', 'inode-fields', 'dir-parent'],
  ['UPDATE inode SET nlink = 3 WHERE ino = 3', 'link-count'],
  ['UPDATE inode SET nlink = 3 WHERE ino = 2', 'link-count'],
  ['DELETE FROM orphan', 'unreachable'],
  [`DELETE FROM dirent WHERE name = x'64'`, 'unreachable', 'link-count'],
  ['UPDATE inode SET parent = 2 WHERE ino = 2', 'dir-parent'],
  ['UPDATE inode SET size = 0 WHERE ino = 2', 'dir-size'],
  [`INSERT INTO dirent VALUES (2, x'6c6f6f70', 2, 4, 9)`, 'dir-names', 'dirent-cookie'],
  ['DELETE FROM inode WHERE ino = 4', 'dirent-target', 'chunk-owner', 'counters'],
  [`INSERT INTO dirent VALUES (4, x'61', 3, 8, 3)`, 'dirent-parent', 'link-count'],
  [`UPDATE dirent SET type = 10 WHERE name = x'626967'`, 'dirent-type'],
  [`UPDATE dirent SET name = x'612f62' WHERE name = x'626967'`, 'dirent-name'],
  [`UPDATE dirent SET name = x'2e2e' WHERE name = x'626967'`, 'dirent-name'],
  [`UPDATE dirent SET name = x'' WHERE name = x'626967'`, 'dirent-name'],
  [`UPDATE dirent SET cookie = 2 WHERE name = x'626967'`, 'dirent-cookie'],
  [`UPDATE dirent SET cookie = 4 WHERE name = x'626967'`, 'dirent-cookie'],
  ['INSERT INTO orphan VALUES (77)', 'orphan'],
  ['INSERT INTO orphan VALUES (4)', 'orphan'],
  ['DELETE FROM symlink', 'symlink'],
  [`UPDATE symlink SET target = x'61'`, 'symlink'],
  [`INSERT INTO symlink VALUES (4, x'61')`, 'symlink'],
  ['UPDATE inode SET xattr_count = 0 WHERE ino = 3', 'xattr-count'],
  [`INSERT INTO xattr VALUES (99, x'61', x'')`, 'xattr-owner'],
  ['UPDATE chunk_map SET ino = 2 WHERE idx = 1', 'chunk-owner', 'alloc-pages'],
  ['DELETE FROM chunk WHERE id = 1', 'chunk-missing'],
  ['UPDATE chunk_map SET pages = 3 WHERE idx = 0', 'chunk-extent', 'alloc-pages'],
  ['UPDATE chunk SET data = zeroblob(8193) WHERE id = 1', 'chunk-length'],
  ['INSERT INTO chunk VALUES (50, zeroblob(4096))', 'chunk-unreferenced'],
  ['UPDATE chunk_map SET chunk = 1 WHERE idx = 1', 'chunk-share', 'chunk-unreferenced'],
  ['INSERT INTO chunk_share VALUES (1, 2)', 'chunk-share'],
  ['INSERT INTO chunk_share VALUES (60, 2)', 'chunk-share'],
  [`INSERT INTO inline_data VALUES (4, x'61')`, 'inline', 'alloc-pages'],
  [`INSERT INTO inline_data VALUES (5, x'61')`, 'chunk-owner'],
  [`INSERT INTO inline_data VALUES (6, zeroblob(5000))`, 'inline'],
  ['UPDATE inode SET alloc_pages = 9 WHERE ino = 4', 'alloc-pages', 'counters'],
  ['UPDATE inode SET size = 9000 WHERE ino = 4', 'stale-bytes'],
  ['UPDATE inode SET size = 10 WHERE ino = 4', 'stale-bytes'],
  ['UPDATE inode SET size = 10 WHERE ino = 3', 'stale-bytes'],
  ['UPDATE counters SET inode_count = 5', 'counters'],
  ['UPDATE counters SET alloc_pages = 5', 'counters'],
  ['UPDATE counters SET next_ino = 6', 'counters'],
  ['UPDATE superblock SET chunk_bytes = 5', 'superblock'],
];
