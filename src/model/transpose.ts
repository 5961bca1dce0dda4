// Matrices turned over: linear layers are stored (out, in) by others and (in, out) here, as MatMul reads them.

/** Tile in which reads and writes both stay in the cache. */
const TILE = 32;

/** (rows, columns) -> (columns, rows), row-major. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let top = 0; top < rows; top += TILE)
    for (let left = 0; left < columns; left += TILE) {
      const [bottom, right] = [Math.min(rows, top + TILE), Math.min(columns, left + TILE)];
      for (let row = top; row < bottom; row++)
        for (let column = left; column < right; column++)
          out[column * rows + row] = values[row * columns + column] as number;
    }
  return out;
}
