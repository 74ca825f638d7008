/**
 * Describes a structure of the wire protocol once; offsets, encoder and decoder follow from that description.
 *
 * All structures of the protocol are naturally aligned and little-endian on the machines that we run on, so fields are
 * laid out one after the other. Cold code uses {@link Layout.decode} and {@link Layout.encode}; hot code indexes a
 * Uint32Array with {@link Layout.word}. A 64-bit field is a double: exact to 2^53 - 1, larger values are rounded, and
 * no valid inode, handle or offset of ours is that large.
 */
export type FieldType = 'u16' | 'u32' | 'i32' | 'u64' | 'i64';
export type Fields = Readonly<Record<string, FieldType>>;
export type RecordOf<F extends Fields> = { [K in keyof F]: number };

const bytesOf: Record<FieldType, number> = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 };

const TWO_32 = 4294967296;

export interface Layout<F extends Fields> {
  readonly fields: F;
  /** Bytes. */
  readonly size: number;
  /** Byte offset of each field. */
  readonly at: Readonly<Record<keyof F, number>>;
  /** Index of each field in 32-bit words (of a u16: of the word that holds it). */
  readonly word: Readonly<Record<keyof F, number>>;
  /** Requires `start + size <= bytes.length`. */
  decode(bytes: Uint8Array, start?: number): RecordOf<F>;
  /** Writes every field; those absent from `values` become 0. Requires room for `size` bytes. */
  encode(bytes: Uint8Array, start: number, values: Partial<RecordOf<F>>): void;
}

const readField = (view: DataView, at: number, type: FieldType): number => {
  switch (type) {
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'i32':
      return view.getInt32(at, true);
    case 'u64':
      return view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
    case 'i64':
      return view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true);
  }
};

const writeField = (view: DataView, at: number, type: FieldType, value: number): void => {
  switch (type) {
    case 'u16':
      view.setUint16(at, value, true);
      return;
    case 'u32':
    case 'i32':
      view.setUint32(at, value, true);
      return;
    case 'u64':
    case 'i64':
      // Both stores take their value modulo 2^32, which is two's complement for a negative one.
      view.setUint32(at, value, true);
      view.setUint32(at + 4, Math.floor(value / TWO_32), true);
  }
};

/** Requires fields in wire order, paddings named; throws RangeError for one that isn't naturally aligned. */
export const layout = <const F extends Fields>(fields: F): Layout<F> => {
  const entries = Object.entries(fields) as [keyof F & string, FieldType][];
  const at: Record<string, number> = {};
  const word: Record<string, number> = {};
  let size = 0;
  for (const [name, type] of entries) {
    if (size % bytesOf[type] !== 0) throw new RangeError(`misaligned field ${name}`);
    at[name] = size;
    word[name] = size >> 2;
    size += bytesOf[type];
  }
  const viewOf = (bytes: Uint8Array): DataView =>
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    fields,
    size,
    at: at as Record<keyof F, number>,
    word: word as Record<keyof F, number>,
    decode(bytes, start = 0) {
      const view = viewOf(bytes);
      const record: Record<string, number> = {};
      for (const [name, type] of entries) record[name] = readField(view, start + at[name], type);
      return record as RecordOf<F>;
    },
    encode(bytes, start, values) {
      const view = viewOf(bytes);
      for (const [name, type] of entries) writeField(view, start + at[name], type, values[name] ?? 0);
    },
  };
};
