// The table as it travels: words as LEB128, which take under half the bytes. Every instance unpacks it to the same place when
// it starts, as it writes its data segments.

/** `count` words from `packed` to `table`. */
export function unpack(packed: usize, table: usize, count: u32): void {
  const end = table + ((<usize>count) << 2);
  while (table < end) {
    let value: u32 = 0;
    let shift: u32 = 0;
    let byte: u32;
    do {
      byte = load<u8>(packed++);
      value |= (byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    store<u32>(table, value);
    table += 4;
  }
}
