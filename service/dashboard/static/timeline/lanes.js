/**
 * Events of a lane as blocks worth drawing: at a day's width, a thousand knocks are a few hundred pixels.
 *
 * @typedef {{id: string, seq: number, recordingId: string, label: string, name: string, onset: number, offset: number, confidence: number}} LaneEvent
 *   times in ms since 1970
 * @typedef {{onset: number, offset: number, confidence: number, events: LaneEvent[]}} Block
 */

/**
 * Neighbours closer than `gap` become one block.
 *
 * @param {LaneEvent[]} events of one label, in any order
 * @param {number} gap ms
 * @returns {Block[]} by onset
 */
export function blocks(events, gap) {
  const sorted = [...events].sort((a, b) => a.onset - b.onset);
  /** @type {Block[]} */
  const found = [];
  for (const event of sorted) {
    const last = found.at(-1);
    if (last && event.onset - last.offset < gap) {
      last.offset = Math.max(last.offset, event.offset);
      last.confidence = Math.max(last.confidence, event.confidence);
      last.events.push(event);
    } else {
      found.push({ onset: event.onset, offset: event.offset, confidence: event.confidence, events: [event] });
    }
  }
  return found;
}

/**
 * How often and how long, within a window.
 *
 * @param {LaneEvent[]} events of one label @param {number} since @param {number} until ms
 */
export function tally(events, since, until) {
  let count = 0;
  let total = 0;
  for (const event of events) {
    const overlap = Math.min(event.offset, until) - Math.max(event.onset, since);
    if (overlap > 0) {
      count += 1;
      total += overlap;
    }
  }
  return { count, seconds: total / 1000 };
}
