/**
 * The tables of a store, as SQL. The specification with its MUST rules is native-notes/disk-format.md: keep both in
 * step, and never change a released version: write a migration (migrate.ts).
 */

/** SQLite's application_id: "VNFS". */
export const APPLICATION_ID = 0x564e4653;
/** SQLite's user_version: the newest format this code writes. */
export const FORMAT_VERSION = 1;

export const SCHEMA_SQL = `
CREATE TABLE superblock(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  uuid TEXT NOT NULL,
  label TEXT NOT NULL,
  chunk_bytes INTEGER NOT NULL,
  inline_max INTEGER NOT NULL,
  size_limit_bytes INTEGER NOT NULL,
  inode_limit INTEGER NOT NULL,
  created_sec INTEGER NOT NULL
) STRICT;
CREATE TABLE counters(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  next_ino INTEGER NOT NULL,
  inode_count INTEGER NOT NULL,
  alloc_pages INTEGER NOT NULL,
  txg INTEGER NOT NULL,
  commits INTEGER NOT NULL
) STRICT;
CREATE TABLE inode(
  ino INTEGER PRIMARY KEY,
  mode INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  nlink INTEGER NOT NULL,
  size INTEGER NOT NULL,
  rdev INTEGER NOT NULL,
  alloc_pages INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  xattr_count INTEGER NOT NULL,
  parent INTEGER NOT NULL,
  next_cookie INTEGER NOT NULL,
  atime_sec INTEGER NOT NULL,
  atime_nsec INTEGER NOT NULL,
  mtime_sec INTEGER NOT NULL,
  mtime_nsec INTEGER NOT NULL,
  ctime_sec INTEGER NOT NULL,
  ctime_nsec INTEGER NOT NULL,
  btime_sec INTEGER NOT NULL,
  btime_nsec INTEGER NOT NULL
) STRICT;
CREATE TABLE dirent(
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  ino INTEGER NOT NULL,
  type INTEGER NOT NULL,
  cookie INTEGER NOT NULL,
  PRIMARY KEY (parent, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX dirent_cookie ON dirent(parent, cookie, ino, type);
CREATE TABLE inline_data(ino INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE chunk_map(
  ino INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  pages INTEGER NOT NULL,
  PRIMARY KEY (ino, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunk(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE chunk_share(chunk INTEGER PRIMARY KEY, refs INTEGER NOT NULL CHECK (refs > 1)) STRICT;
CREATE TABLE symlink(ino INTEGER PRIMARY KEY, target BLOB NOT NULL) STRICT;
CREATE TABLE xattr(
  ino INTEGER NOT NULL,
  name BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (ino, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE orphan(ino INTEGER PRIMARY KEY) STRICT;
`;

/** Columns of `inode` after `ino`, in the order in which reader and writer bind and read them. */
export const INODE_COLUMNS = [
  'mode',
  'uid',
  'gid',
  'nlink',
  'size',
  'rdev',
  'alloc_pages',
  'flags',
  'xattr_count',
  'parent',
  'next_cookie',
  'atime_sec',
  'atime_nsec',
  'mtime_sec',
  'mtime_nsec',
  'ctime_sec',
  'ctime_nsec',
  'btime_sec',
  'btime_nsec',
] as const;
