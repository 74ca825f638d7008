/**
 * What must hold between the tables of a store, each rule one query that returns the rows that break it. The
 * rules restate
 * native-notes/disk-format.md. A query returns `ino` and what its message needs; names arrive as BLOB.
 */
import { PAGE_BYTES, type Superblock } from './types.js';

export interface FsckRow {
  ino: number;
  name?: Buffer | null;
  a?: number | null;
  b?: number | null;
}

export interface FsckRule {
  rule: string;
  sql: string;
  message: (row: FsckRow) => string;
}

const named = (row: FsckRow): string => JSON.stringify(row.name?.toString('utf8') ?? '');
const TYPE_OF =
  "(CASE i.mode & 0xF000 WHEN 0x4000 THEN 'dir' WHEN 0x8000 THEN 'file' WHEN 0xA000 THEN 'link' ELSE '' END)";

const inodeRules: FsckRule[] = [
  {
    rule: 'root',
    sql: `SELECT 1 AS ino WHERE NOT EXISTS (SELECT 1 FROM inode WHERE ino = 1 AND mode & 0xF000 = 0x4000 AND parent = 1)`,
    message: () => 'the root directory is missing, is not a directory, or is not its own parent',
  },
  {
    rule: 'inode-type',
    sql: `SELECT ino, mode AS a FROM inode WHERE mode & 0xF000 NOT IN (0x1000, 0x2000, 0x4000, 0x6000, 0x8000, 0xA000, 0xC000)
          OR mode NOT BETWEEN 0 AND 0xFFFF`,
    message: (r) => `mode ${r.a?.toString(8)} (octal) has no valid file type`,
  },
  {
    rule: 'inode-fields',
    sql: `SELECT ino FROM inode WHERE ino < 1 OR size < 0 OR nlink < 0 OR alloc_pages < 0 OR xattr_count < 0
          OR atime_nsec NOT BETWEEN 0 AND 999999999 OR mtime_nsec NOT BETWEEN 0 AND 999999999
          OR ctime_nsec NOT BETWEEN 0 AND 999999999 OR btime_nsec NOT BETWEEN 0 AND 999999999
          OR (mode & 0xF000 = 0x4000) <> (parent <> 0)`,
    message: () => 'a column is out of its range',
  },
  {
    rule: 'link-count',
    sql: `SELECT i.ino, i.nlink AS a, coalesce(n.links, 0) AS b FROM inode i
          LEFT JOIN (SELECT ino, count(*) AS links FROM dirent GROUP BY ino) n ON n.ino = i.ino
          WHERE ${TYPE_OF} <> 'dir' AND i.nlink <> coalesce(n.links, 0)`,
    message: (r) => `link count is ${r.a}, but ${r.b} names lead to it`,
  },
  {
    rule: 'link-count',
    sql: `SELECT i.ino, i.nlink AS a, 2 + coalesce(n.subdirs, 0) AS b FROM inode i
          LEFT JOIN (SELECT parent, count(*) AS subdirs FROM dirent WHERE type = 4 GROUP BY parent) n ON n.parent = i.ino
          WHERE ${TYPE_OF} = 'dir' AND i.nlink <> 2 + coalesce(n.subdirs, 0)
          AND NOT (i.nlink = 0 AND i.ino IN (SELECT ino FROM orphan))`,
    message: (r) => `directory's link count is ${r.a}, should be ${r.b}`,
  },
  {
    rule: 'unreachable',
    sql: `WITH RECURSIVE reach(ino) AS (SELECT 1 UNION SELECT d.ino FROM dirent d JOIN reach r ON d.parent = r.ino)
          SELECT ino FROM inode WHERE ino NOT IN (SELECT ino FROM reach) AND ino NOT IN (SELECT ino FROM orphan)`,
    message: () => 'no path from the root leads to it, and it is not an orphan',
  },
  {
    rule: 'dir-parent',
    sql: `SELECT i.ino, i.parent AS a, d.parent AS b FROM inode i JOIN dirent d ON d.ino = i.ino
          WHERE ${TYPE_OF} = 'dir' AND d.parent <> i.parent`,
    message: (r) => `directory's parent is recorded as ${r.a}, but its name is in directory ${r.b}`,
  },
  {
    rule: 'dir-names',
    sql: `SELECT i.ino, count(*) AS a FROM inode i JOIN dirent d ON d.ino = i.ino
          WHERE ${TYPE_OF} = 'dir' GROUP BY i.ino HAVING count(*) > 1 OR i.ino = 1`,
    message: (r) => `directory has ${r.a} names (the root must have none, others one)`,
  },
];

const direntRules: FsckRule[] = [
  {
    rule: 'dirent-target',
    sql: `SELECT d.parent AS ino, d.name, d.ino AS a FROM dirent d LEFT JOIN inode i ON i.ino = d.ino WHERE i.ino IS NULL`,
    message: (r) => `entry ${named(r)} leads to inode ${r.a}, which does not exist`,
  },
  {
    rule: 'dirent-parent',
    sql: `SELECT d.parent AS ino, d.name FROM dirent d LEFT JOIN inode i ON i.ino = d.parent
          WHERE i.ino IS NULL OR ${TYPE_OF} <> 'dir'`,
    message: (r) => `entry ${named(r)} is in something that is not a directory`,
  },
  {
    rule: 'dirent-type',
    sql: `SELECT d.parent AS ino, d.name, d.type AS a, i.mode >> 12 AS b FROM dirent d JOIN inode i ON i.ino = d.ino
          WHERE d.type <> i.mode >> 12`,
    message: (r) => `entry ${named(r)} has type ${r.a}, its inode type ${r.b}`,
  },
  {
    rule: 'dirent-name',
    sql: `SELECT parent AS ino, name FROM dirent WHERE length(name) NOT BETWEEN 1 AND 255 OR name IN (x'2e', x'2e2e')
          OR instr(name, x'2f') > 0 OR instr(name, x'00') > 0`,
    message: (r) => `entry ${named(r)} has a name that no file may have`,
  },
  {
    rule: 'dir-size',
    sql: `SELECT i.ino, i.size AS a, count(d.name) AS b FROM inode i LEFT JOIN dirent d ON d.parent = i.ino
          WHERE ${TYPE_OF} = 'dir' GROUP BY i.ino HAVING count(d.name) <> i.size`,
    message: (r) => `directory of ${r.b} entries, size says ${r.a}`,
  },
  {
    rule: 'dirent-cookie',
    sql: `SELECT d.parent AS ino, d.name, d.cookie AS a, i.next_cookie AS b FROM dirent d JOIN inode i ON i.ino = d.parent
          WHERE d.cookie < 3 OR d.cookie >= i.next_cookie`,
    message: (r) => `entry ${named(r)} has cookie ${r.a}, outside 3 to ${(r.b ?? 0) - 1}`,
  },
  {
    rule: 'dirent-cookie',
    sql: `SELECT parent AS ino, cookie AS a, count(*) AS b FROM dirent GROUP BY parent, cookie HAVING count(*) > 1`,
    message: (r) => `${r.b} entries share the cookie ${r.a}`,
  },
];

const sideRules: FsckRule[] = [
  {
    rule: 'orphan',
    sql: `SELECT o.ino, i.nlink AS a FROM orphan o LEFT JOIN inode i ON i.ino = o.ino WHERE i.ino IS NULL OR i.nlink <> 0`,
    message: (r) =>
      r.a === null ? 'listed as an orphan but does not exist' : `orphan with link count ${r.a}`,
  },
  {
    rule: 'symlink',
    sql: `SELECT i.ino, i.size AS a, length(s.target) AS b FROM inode i LEFT JOIN symlink s ON s.ino = i.ino
          WHERE ${TYPE_OF} = 'link' AND (s.ino IS NULL OR length(s.target) <> i.size OR i.size = 0)`,
    message: (r) =>
      r.b === null ? 'symbolic link without a target' : `target of ${r.b} bytes, size says ${r.a}`,
  },
  {
    rule: 'symlink',
    sql: `SELECT s.ino FROM symlink s LEFT JOIN inode i ON i.ino = s.ino WHERE i.ino IS NULL OR ${TYPE_OF} <> 'link'`,
    message: () => 'a link target belongs to something that is not a symbolic link',
  },
  {
    rule: 'xattr-count',
    sql: `SELECT i.ino, i.xattr_count AS a, coalesce(x.n, 0) AS b FROM inode i
          LEFT JOIN (SELECT ino, count(*) AS n FROM xattr GROUP BY ino) x ON x.ino = i.ino
          WHERE i.xattr_count <> coalesce(x.n, 0)`,
    message: (r) => `attribute count is ${r.a}, but ${r.b} are stored`,
  },
  {
    rule: 'xattr-owner',
    sql: `SELECT DISTINCT x.ino FROM xattr x LEFT JOIN inode i ON i.ino = x.ino WHERE i.ino IS NULL`,
    message: () => 'extended attributes of an inode that does not exist',
  },
];

const dataRules = (chunkBytes: number, inlineMax: number): FsckRule[] => [
  {
    rule: 'chunk-owner',
    sql: `SELECT DISTINCT m.ino FROM chunk_map m LEFT JOIN inode i ON i.ino = m.ino WHERE i.ino IS NULL OR ${TYPE_OF} <> 'file'`,
    message: () => 'file data of something that is not a regular file',
  },
  {
    rule: 'chunk-missing',
    sql: `SELECT m.ino, m.idx AS a, m.chunk AS b FROM chunk_map m LEFT JOIN chunk c ON c.id = m.chunk WHERE c.id IS NULL`,
    message: (r) => `piece ${r.a} of the file refers to chunk ${r.b}, which does not exist`,
  },
  {
    rule: 'chunk-extent',
    sql: `SELECT ino, idx AS a, pages AS b FROM chunk_map WHERE idx < 0 OR pages NOT BETWEEN 1 AND ${chunkBytes / PAGE_BYTES}`,
    message: (r) => `piece ${r.a} claims ${r.b} pages`,
  },
  {
    rule: 'chunk-length',
    sql: `SELECT m.ino, m.idx AS a, length(c.data) AS b FROM chunk_map m JOIN chunk c ON c.id = m.chunk
          WHERE length(c.data) > ${chunkBytes}`,
    message: (r) => `piece ${r.a} holds ${r.b} bytes, more than a chunk`,
  },
  {
    rule: 'chunk-unreferenced',
    sql: `SELECT 0 AS ino, c.id AS a FROM chunk c WHERE c.id NOT IN (SELECT chunk FROM chunk_map)`,
    message: (r) => `chunk ${r.a} belongs to no file`,
  },
  {
    rule: 'chunk-share',
    sql: `SELECT 0 AS ino, m.chunk AS a, count(*) AS b FROM chunk_map m LEFT JOIN chunk_share s ON s.chunk = m.chunk
          GROUP BY m.chunk HAVING count(*) <> coalesce(max(s.refs), 1)`,
    message: (r) => `chunk ${r.a} is used ${r.b} times, its share count says otherwise`,
  },
  {
    rule: 'chunk-share',
    sql: `SELECT 0 AS ino, chunk AS a FROM chunk_share WHERE chunk NOT IN (SELECT chunk FROM chunk_map)`,
    message: (r) => `chunk ${r.a} has a share count but no user`,
  },
  {
    rule: 'inline',
    sql: `SELECT d.ino, length(d.data) AS a FROM inline_data d LEFT JOIN inode i ON i.ino = d.ino
          WHERE i.ino IS NULL OR ${TYPE_OF} <> 'file' OR length(d.data) > ${inlineMax}
          OR EXISTS (SELECT 1 FROM chunk_map m WHERE m.ino = d.ino AND m.idx = 0)`,
    message: (r) =>
      `${r.a} inline bytes: too many, beside a first chunk, or of something that is not a regular file`,
  },
  {
    rule: 'alloc-pages',
    sql: `SELECT i.ino, i.alloc_pages AS a, coalesce(m.pages, 0) + (d.ino IS NOT NULL) AS b FROM inode i
          LEFT JOIN (SELECT ino, sum(pages) AS pages FROM chunk_map GROUP BY ino) m ON m.ino = i.ino
          LEFT JOIN inline_data d ON d.ino = i.ino
          WHERE i.alloc_pages <> coalesce(m.pages, 0) + (d.ino IS NOT NULL)`,
    message: (r) => `${r.a} pages are charged, ${r.b} are stored`,
  },
  {
    rule: 'stale-bytes',
    sql: `SELECT i.ino, m.idx AS a, i.size AS b FROM chunk_map m JOIN inode i ON i.ino = m.ino JOIN chunk c ON c.id = m.chunk
          WHERE m.idx >= i.size / ${chunkBytes} AND length(c.data) > max(0, i.size - m.idx * ${chunkBytes})
          AND trim(hex(substr(c.data, 1 + max(0, i.size - m.idx * ${chunkBytes}))), '0') <> ''`,
    message: (r) => `piece ${r.a} holds bytes other than zero past the file's end at ${r.b}`,
  },
  {
    rule: 'stale-bytes',
    sql: `SELECT i.ino, i.size AS b FROM inline_data d JOIN inode i ON i.ino = d.ino WHERE length(d.data) > i.size
          AND trim(hex(substr(d.data, 1 + i.size)), '0') <> ''`,
    message: (r) => `inline data goes on past the file's end at ${r.b}`,
  },
];

const counterRules: FsckRule[] = [
  {
    rule: 'counters',
    sql: `SELECT 0 AS ino, inode_count AS a, (SELECT count(*) FROM inode) AS b FROM counters
          WHERE inode_count <> (SELECT count(*) FROM inode)`,
    message: (r) => `the store counts ${r.a} inodes, has ${r.b}`,
  },
  {
    rule: 'counters',
    sql: `SELECT 0 AS ino, alloc_pages AS a, (SELECT coalesce(sum(alloc_pages), 0) FROM inode) AS b FROM counters
          WHERE alloc_pages <> (SELECT coalesce(sum(alloc_pages), 0) FROM inode)`,
    message: (r) => `the store counts ${r.a} data pages, its inodes are charged ${r.b}`,
  },
  {
    rule: 'counters',
    sql: `SELECT 0 AS ino, next_ino AS a, (SELECT max(ino) FROM inode) AS b FROM counters
          WHERE next_ino <= (SELECT max(ino) FROM inode)`,
    message: (r) => `the next inode number is ${r.a}, but ${r.b} is in use`,
  },
];

/** All rules, in the order in which they are reported. */
export const fsckRules = (superblock: Superblock): FsckRule[] => [
  ...inodeRules,
  ...direntRules,
  ...sideRules,
  ...dataRules(superblock.chunkBytes, superblock.inlineMax),
  ...counterRules,
];
