/**
 * The single steps of a repair, as SQL on the writing connection. Each sets things right as far as its own finding
 * goes; what follows from it (link counts, sizes, totals) is found and set by a later round.
 *
 * Conservative: stored data is never thrown away while a place can be found for it. What belongs nowhere becomes a file
 * or directory in `/lost+found`, named `#` and its inode number.
 */
import type Database from 'better-sqlite3';
import { DEFAULTS } from './defaults.js';
import { DIR, FILE, LINK, ROOT } from './fsck-facts.js';
import { INODE_COLUMNS } from './schema.js';
import { inferChunkBytes, validInlineMax } from './superblock.js';
import { PAGE_BYTES } from './types.js';

const MAX = Number.MAX_SAFE_INTEGER;
const LOST_FOUND = 'lost+found';
const MODE: Record<number, number> = { [DIR]: 0o700, [FILE]: 0o600, [LINK]: 0o777 };
/** Every column that holds an inode number. */
const NUMBERS: readonly [table: string, column: string][] = [
  ['inode', 'ino'],
  ['inode', 'parent'],
  ['dirent', 'parent'],
  ['dirent', 'ino'],
  ['inline_data', 'ino'],
  ['chunk_map', 'ino'],
  ['symlink', 'ino'],
  ['xattr', 'ino'],
  ['orphan', 'ino'],
];

type Value = number | bigint | string | Uint8Array | null;
/** Where a name is: its directory and cookie. */
export interface NamePlace {
  parent: number;
  cookie: number;
}

export class Mender {
  readonly #db: Database.Database;
  readonly #nowSec: number;
  readonly #statements = new Map<string, Database.Statement>();

  /** Requires: a write transaction is open on `db`. */
  constructor(db: Database.Database, nowSec: number) {
    this.#db = db;
    this.#nowSec = nowSec;
  }

  setInode(ino: number, columns: Readonly<Record<string, number>>): string {
    const names = Object.keys(columns);
    this.#run(
      `UPDATE inode SET ${names.map((name) => `${name} = ?`).join(', ')} WHERE ino = ?`,
      ...Object.values(columns),
      ino,
    );
    return names.map((name) => `set its ${name} to ${columns[name]}`).join(', ');
  }

  /** Gives `ino` a name in lost+found. Requires that it has none. */
  adopt(ino: number): string {
    const directory = this.#lostFound();
    const isDir = this.#get('SELECT mode & 0xF000 FROM inode WHERE ino = ?', ino) === DIR;
    const name = this.#freeName(directory, `#${ino}`);
    this.#addEntry(directory, name, ino);
    this.#run('UPDATE inode SET nlink = max(nlink, ?) WHERE ino = ?', isDir ? 2 : 1, ino);
    if (isDir) this.#run('UPDATE inode SET parent = ? WHERE ino = ?', directory, ino);
    this.#run('DELETE FROM orphan WHERE ino = ?', ino);
    return `moved to ${LOST_FOUND}/${name.toString()}`;
  }

  /** An inode for rows that have lost theirs. */
  recreate(ino: number, type: number, size: number): string {
    const parent = type === DIR ? ROOT : 0;
    const nextCookie = type === DIR ? this.#nextCookie(ino) : 0;
    const nlink = type === DIR ? 2 : 1;
    const time = [this.#nowSec, 0];
    const mode = type | (ino === ROOT ? 0o755 : MODE[type]);
    const row = [mode, 0, 0, nlink, size, 0, 0, 0, 0, parent, nextCookie, ...time, ...time, ...time, ...time];
    this.#run(
      `INSERT INTO inode(ino, ${INODE_COLUMNS.join(', ')}) VALUES (?${', ?'.repeat(INODE_COLUMNS.length)}) ON CONFLICT DO NOTHING`,
      ino,
      ...row,
    );
    return `made inode ${ino} anew`;
  }

  /** Where the stored data of `ino` ends. */
  dataEnd(ino: number, chunkBytes: number): number {
    const inline = this.#get('SELECT length(data) FROM inline_data WHERE ino = ?', ino) ?? 0;
    const chunks =
      this.#get(
        'SELECT max(m.idx * ? + length(c.data)) FROM chunk_map m JOIN chunk c ON c.id = m.chunk WHERE m.ino = ? AND m.idx BETWEEN 0 AND ?',
        chunkBytes,
        ino,
        Math.floor(MAX / chunkBytes) - 1,
      ) ?? 0;
    return Math.max(inline, chunks);
  }

  setType(ino: number, type: number): string {
    const parent = type === DIR ? ROOT : 0;
    const nextCookie = type === DIR ? this.#nextCookie(ino) : 0;
    this.#run(
      'UPDATE inode SET mode = (mode & 0xFFF) | ?, parent = ?, next_cookie = ? WHERE ino = ?',
      type,
      parent,
      nextCookie,
      ino,
    );
    return `made it a ${type === DIR ? 'directory' : type === LINK ? 'symbolic link' : 'file'} again`;
  }

  dropEntry(ino: number, { parent, cookie }: NamePlace): string {
    this.#run('DELETE FROM dirent WHERE parent = ? AND cookie = ? AND ino = ?', parent, cookie, ino);
    return 'removed the entry';
  }

  dropEntriesTo(ino: number, parent: number): void {
    this.#run('DELETE FROM dirent WHERE parent = ? AND ino = ?', parent, ino);
  }

  /** A number to which entries lead, and attributes belong, but of which nothing is left. */
  dropGhost(ino: number, names: readonly NamePlace[]): string {
    for (const name of names) this.dropEntry(ino, name);
    this.#run('DELETE FROM xattr WHERE ino = ?', ino);
    this.#run('DELETE FROM orphan WHERE ino = ?', ino);
    return names.length > 0 ? 'removed the entry: nothing is left of the file' : 'removed what was left';
  }

  dropInode(ino: number, names: readonly NamePlace[]): string {
    this.dropGhost(ino, names);
    this.#run('DELETE FROM symlink WHERE ino = ?', ino);
    this.#run('DELETE FROM inode WHERE ino = ?', ino);
    return 'removed the link: its target is lost';
  }

  retypeEntry(ino: number, { parent, cookie }: NamePlace, type: number): string {
    this.#run(
      'UPDATE dirent SET type = ? WHERE parent = ? AND cookie = ? AND ino = ?',
      type,
      parent,
      cookie,
      ino,
    );
    return `set the entry's type to ${type}`;
  }

  renameEntry(parent: number, name: Uint8Array): string {
    const safe = Buffer.from(
      name.subarray(0, 200).map((byte) => (byte === 0 || byte === 0x2f ? 0x5f : byte)),
    );
    const wanted =
      safe.length === 0 || /^\.{1,2}$/.test(safe.toString('latin1')) ? Buffer.from('#renamed') : safe;
    const free = this.#freeName(parent, wanted);
    this.#run('UPDATE dirent SET name = ? WHERE parent = ? AND name = ?', free, parent, name);
    return `renamed it to ${JSON.stringify(free.toString())}`;
  }

  /** Gives entries whose cookie is impossible, or not theirs alone, new ones. */
  renumberCookies(parent: number): string {
    const wrong: Buffer[] = [];
    let last = 2;
    const rows = this.#db.prepare('SELECT cookie, name FROM dirent WHERE parent = ? ORDER BY cookie').raw();
    for (const [cookie, name] of rows.iterate(parent) as IterableIterator<[number, Buffer]>) {
      if (cookie <= last || cookie > MAX / 2) wrong.push(name);
      else last = cookie;
    }
    const next = Math.max(last + 1, this.#get('SELECT next_cookie FROM inode WHERE ino = ?', parent) ?? 3);
    let cookie = next > MAX / 2 ? last + 1 : next;
    for (const name of wrong)
      this.#run('UPDATE dirent SET cookie = ? WHERE parent = ? AND name = ?', cookie++, parent, name);
    this.#run('UPDATE inode SET next_cookie = ? WHERE ino = ?', cookie, parent);
    return `the directory's next cookie is ${cookie}, ${wrong.length} entries have new ones`;
  }

  moveEntries(ino: number): string {
    const made = this.#newInode(DIR);
    this.#run('UPDATE dirent SET parent = ? WHERE parent = ?', made, ino);
    this.setInode(made, { next_cookie: this.#nextCookie(made) });
    return `its entries ${this.adopt(made)}`;
  }

  moveLink(ino: number): string {
    const made = this.#newInode(LINK);
    this.#run('UPDATE symlink SET ino = ? WHERE ino = ?', made, ino);
    return `the link ${this.adopt(made)}`;
  }

  moveData(ino: number, chunkBytes: number): string {
    const made = this.#newInode(FILE);
    this.#run('UPDATE chunk_map SET ino = ? WHERE ino = ?', made, ino);
    this.#run('UPDATE inline_data SET ino = ? WHERE ino = ?', made, ino);
    this.setInode(made, { size: this.dataEnd(made, chunkBytes) });
    return `the data ${this.adopt(made)}`;
  }

  /** Inline data that can't stay inline becomes the first chunk, or a file of its own if there is one. */
  moveInline(ino: number, chunkBytes: number): string {
    const data = this.#db.prepare('SELECT data FROM inline_data WHERE ino = ?').pluck().get(ino) as Buffer;
    const taken = this.#get('SELECT 1 FROM chunk_map WHERE ino = ? AND idx = 0', ino) !== undefined;
    const target = taken ? this.#newInode(FILE) : ino;
    this.#run('DELETE FROM inline_data WHERE ino = ?', ino);
    for (let at = 0; at < data.length; at += chunkBytes) {
      const idx = at / chunkBytes;
      if (target === ino && this.#get('SELECT 1 FROM chunk_map WHERE ino = ? AND idx = ?', ino, idx)) break;
      const piece = data.subarray(at, at + chunkBytes);
      const { lastInsertRowid: chunk } = this.#run('INSERT INTO chunk(data) VALUES (?)', piece);
      const pages = Math.ceil(piece.length / PAGE_BYTES);
      this.#run(
        'INSERT INTO chunk_map(ino, idx, chunk, pages) VALUES (?, ?, ?, ?)',
        target,
        idx,
        chunk,
        pages,
      );
    }
    if (target === ino) return 'moved the inline data to a chunk';
    this.setInode(target, { size: data.length });
    return `the inline data ${this.adopt(target)}`;
  }

  growTo(ino: number, size: number): string {
    this.#run('UPDATE inode SET size = max(size, ?) WHERE ino = ?', size, ino);
    return `set the size to ${size}, so that nothing stored is lost`;
  }

  dropPiece(ino: number, idx: number): string {
    this.#run('DELETE FROM chunk_map WHERE ino = ? AND idx = ?', ino, idx);
    return 'made the piece a hole: its data is lost';
  }

  fixExtent(ino: number, idx: number, chunkBytes: number): string {
    if (!(idx >= 0 && idx <= Math.floor(MAX / chunkBytes))) {
      this.#run(
        `DELETE FROM chunk_map WHERE ino = ? AND idx NOT BETWEEN 0 AND ${Math.floor(MAX / chunkBytes)}`,
        ino,
      );
      return 'took the piece out of the file';
    }
    this.#run(
      `UPDATE chunk_map SET pages = max(1, min(?, (SELECT (length(data) + 4095) / 4096 FROM chunk WHERE id = chunk_map.chunk)))
       WHERE ino = ? AND idx = ?`,
      chunkBytes / PAGE_BYTES,
      ino,
      idx,
    );
    return 'set its extent by what is stored';
  }

  cutChunk(id: number, chunkBytes: number): string {
    this.#run('UPDATE chunk SET data = substr(data, 1, ?) WHERE id = ?', chunkBytes, id);
    return `cut it to ${chunkBytes} bytes`;
  }

  /** A chunk in no file becomes one. */
  keepChunk(id: number, chunkBytes: number): string {
    this.cutChunk(id, chunkBytes);
    const bytes = this.#get('SELECT length(data) FROM chunk WHERE id = ?', id) ?? 0;
    const made = this.#newInode(FILE);
    const pages = Math.max(1, Math.ceil(bytes / PAGE_BYTES));
    this.#run('INSERT INTO chunk_map(ino, idx, chunk, pages) VALUES (?, 0, ?, ?)', made, id, pages);
    this.setInode(made, { size: bytes });
    return `as a file ${this.adopt(made)}`;
  }

  setShare(chunk: number, users: number): string {
    if (users < 2) this.#run('DELETE FROM chunk_share WHERE chunk = ?', chunk);
    else
      this.#run(
        'INSERT INTO chunk_share(chunk, refs) VALUES (?, ?) ON CONFLICT(chunk) DO UPDATE SET refs = excluded.refs',
        chunk,
        users,
      );
    return `set its share count to ${users}`;
  }

  clampInode(ino: number, isDir: boolean): string {
    const clamp = (column: string, min: number, max: number): string =>
      `${column} = max(${min}, min(${max}, ${column}))`;
    const times = ['atime', 'mtime', 'ctime', 'btime'].flatMap((time) => [
      clamp(`${time}_nsec`, 0, 999_999_999),
      clamp(`${time}_sec`, -MAX, MAX),
    ]);
    const wide = ['nlink', 'size', 'alloc_pages', 'xattr_count', 'next_cookie'].map((c) => clamp(c, 0, MAX));
    const narrow = ['uid', 'gid', 'rdev', 'flags'].map((column) => clamp(column, 0, 0xffffffff));
    const parent = isDir
      ? `parent = CASE WHEN parent BETWEEN 1 AND ${MAX} THEN parent ELSE 1 END`
      : 'parent = 0';
    this.#run(`UPDATE inode SET ${[...times, ...wide, ...narrow, parent].join(', ')} WHERE ino = ?`, ino);
    return 'set it to the nearest value allowed';
  }

  dropOrphan(ino: number): string {
    this.#run('DELETE FROM orphan WHERE ino = ?', ino);
    return 'took it off the list of orphans';
  }

  dropBadXattrs(ino: number): string {
    const { changes } = this.#run(
      `DELETE FROM xattr WHERE ino = ? AND
       (length(name) NOT BETWEEN 1 AND 255 OR instr(name, x'00') > 0 OR length(value) > 65536)`,
      ino,
    );
    return `removed ${changes} extended attributes`;
  }

  /** Numbers that no inode may have get new ones, wherever they stand. */
  dropBadNumbers(): string {
    let count = 0;
    for (const [table, column] of NUMBERS) {
      const bad = `${column} < ${table === 'inode' && column === 'parent' ? 0 : 1} OR ${column} > ${MAX}`;
      const first = this.#db
        .prepare(`SELECT ${column} FROM ${table} WHERE ${bad} LIMIT 1`)
        .pluck()
        .safeIntegers();
      for (let old = first.get(); typeof old === 'bigint'; old = first.get(), count++) {
        const fresh = this.#allocIno();
        for (const [t, c] of NUMBERS)
          this.#run(`UPDATE OR IGNORE ${t} SET ${c} = ? WHERE ${c} = ?`, fresh, old);
      }
    }
    return `gave ${count} numbers new ones`;
  }

  mendCounters(): string {
    this.#run('INSERT INTO counters VALUES (1, 2, 0, 0, 0, 0) ON CONFLICT DO NOTHING');
    this.#run(
      `UPDATE counters SET inode_count = (SELECT count(*) FROM inode),
       alloc_pages = (SELECT coalesce(sum(alloc_pages), 0) FROM inode),
       next_ino = max((SELECT max(ino) FROM inode) + 1, CASE WHEN next_ino BETWEEN 1 AND ${MAX / 2} THEN next_ino ELSE 0 END)`,
    );
    return 'counted anew';
  }

  /**
   * Only what can be known: the chunk size shows in the longest chunk, if any file has more than one; otherwise any
   * that is long enough will do.
   */
  mendSuperblock(): string {
    const row = this.#db.prepare('SELECT * FROM superblock').get() as Record<string, unknown> | undefined;
    const chunkBytes = inferChunkBytes(this.#db, row?.chunk_bytes);
    if (chunkBytes === undefined) return 'the chunk size is lost and can not be inferred: restore a backup';
    const kept = (name: string, valid: (value: unknown) => boolean, otherwise: Value): Value =>
      valid(row?.[name]) ? (row?.[name] as Value) : otherwise;
    const amount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
    const uuid = this.#db.prepare('SELECT lower(hex(randomblob(16)))').pluck().get() as string;
    this.#run('DELETE FROM superblock');
    this.#run(
      'INSERT INTO superblock(id, uuid, label, chunk_bytes, inline_max, size_limit_bytes, inode_limit, created_sec) ' +
        'VALUES (1, ?, ?, ?, ?, ?, ?, ?)',
      kept('uuid', (value) => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value), uuid),
      kept('label', (value) => typeof value === 'string', ''),
      chunkBytes,
      kept('inline_max', (value) => typeof value === 'number' && validInlineMax(value), DEFAULTS.inlineMax),
      kept('size_limit_bytes', amount, 0),
      kept('inode_limit', amount, 0),
      kept('created_sec', amount, this.#nowSec),
    );
    return `made the superblock anew, chunks of ${chunkBytes} bytes`;
  }

  /** Works from FULL; a store that was made without auto_vacuum stays so. */
  vacuumByStep(): string {
    this.#db.pragma('auto_vacuum = INCREMENTAL');
    return 'set auto_vacuum to INCREMENTAL';
  }

  #lostFound(): number {
    this.recreate(ROOT, DIR, 0);
    for (let i = 0; ; i++) {
      const name = Buffer.from(i === 0 ? LOST_FOUND : `${LOST_FOUND}.${i}`);
      const found = this.#db
        .prepare(
          'SELECT i.ino, i.mode & 0xF000 FROM dirent d JOIN inode i ON i.ino = d.ino WHERE d.parent = ? AND d.name = ?',
        )
        .raw()
        .get(ROOT, name) as [number, number] | undefined;
      if (found?.[1] === DIR && found[0] !== ROOT) return found[0];
      if (this.#get('SELECT 1 FROM dirent WHERE parent = ? AND name = ?', ROOT, name) !== undefined) continue;
      const made = this.#newInode(DIR);
      this.#addEntry(ROOT, name, made);
      return made;
    }
  }

  #addEntry(parent: number, name: Uint8Array, ino: number): void {
    const cookie = this.#nextCookie(parent);
    const type = this.#get('SELECT (mode & 0xFFFF) >> 12 FROM inode WHERE ino = ?', ino) ?? 8;
    this.#run(
      'INSERT INTO dirent(parent, name, ino, type, cookie) VALUES (?, ?, ?, ?, ?)',
      parent,
      name,
      ino,
      type,
      cookie,
    );
    this.#run(
      'UPDATE inode SET next_cookie = ?, size = size + 1, nlink = nlink + ? WHERE ino = ?',
      cookie + 1,
      type === DIR >> 12 ? 1 : 0,
      parent,
    );
  }

  #nextCookie(parent: number): number {
    const last =
      this.#get(`SELECT max(cookie) FROM dirent WHERE parent = ? AND cookie < ${MAX / 2}`, parent) ?? 2;
    const next = this.#get('SELECT next_cookie FROM inode WHERE ino = ?', parent) ?? 3;
    return Math.max(3, last + 1, next > MAX / 2 ? 0 : next);
  }

  #freeName(parent: number, wanted: string | Uint8Array): Buffer {
    const base = Buffer.from(wanted as string);
    for (let i = 1; ; i++) {
      const name = i === 1 ? base : Buffer.concat([base, Buffer.from(`.${i}`)]);
      if (this.#get('SELECT 1 FROM dirent WHERE parent = ? AND name = ?', parent, name) === undefined)
        return name;
    }
  }

  #newInode(type: number): number {
    const ino = this.#allocIno();
    this.recreate(ino, type, 0);
    this.#run('UPDATE counters SET inode_count = inode_count + 1');
    return ino;
  }

  #allocIno(): number {
    const next = this.#get('SELECT next_ino FROM counters') ?? 0;
    const last = this.#get(`SELECT max(ino) FROM inode WHERE ino <= ${MAX}`) ?? ROOT;
    const ino = Math.max(last + 1, next > MAX / 2 ? 0 : next);
    this.#run('UPDATE counters SET next_ino = ?', ino + 1);
    return ino;
  }

  #prepare(sql: string): Database.Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#db.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  #get(sql: string, ...bound: Value[]): number | undefined {
    return (
      (this.#prepare(sql)
        .pluck()
        .get(...bound) as number | null | undefined) ?? undefined
    );
  }

  #run(sql: string, ...bound: Value[]): Database.RunResult {
    return this.#prepare(sql).run(...bound);
  }
}
