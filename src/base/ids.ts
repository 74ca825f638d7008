/**
 * Branded identifiers. All are JS numbers: inode numbers, chunk ids and offsets are exact up to 2^53 - 1, and no store
 * can reach that. `bigint` appears only at the wire and store edges.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Stored inode number; also the kernel's nodeid. Never reused. The root is {@link ROOT_INO}. */
export type Ino = Branded<'Ino'>;
/** Open file handle number as the kernel sees it. 0 means "no handle". */
export type Fh = Branded<'Fh'>;
/** Row id of a chunk of file data. */
export type ChunkId = Branded<'ChunkId'>;
/** Transaction group number, increasing by one for each group of a store. */
export type TxgId = Branded<'TxgId'>;

export const ROOT_INO = 1 as Ino;

export const asIno = (n: number): Ino => n as Ino;
export const asFh = (n: number): Fh => n as Fh;

/**
 * A file or xattr name: a string in which each UTF-16 unit is one *byte* (0..255) of the name ("latin1"
 * decoding). Names are bytes, never assumed UTF-8; this form is a cheap, exact Map key.
 * Convert with {@link byteNameOf} / {@link bytesOfName}.
 */
export type ByteName = string & { readonly [brand]: 'ByteName' };

export const byteNameOf = (bytes: Uint8Array, start = 0, end = bytes.length): ByteName =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end) as ByteName;
export const bytesOfName = (name: ByteName): Buffer => Buffer.from(name, 'latin1');
/** From ordinary text (UTF-8 encoded). */
export const byteName = (text: string): ByteName => Buffer.from(text, 'utf8').toString('latin1') as ByteName;
