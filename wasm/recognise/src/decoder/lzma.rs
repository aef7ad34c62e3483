//! LZMA in its oldest container ("alone": properties, dictionary size, length), as far as it is met in addresses: only the
//! usual properties `5D`. Own code, since the crates know all containers and filters and weigh more than the rest of
//! recognition. After Igor Pavlov's specification (LZMA SDK, `lzma-specification.txt`); what comes out is the dictionary.

/// lc = 3, lp = 0, pb = 2, which every encoder uses unless told otherwise.
const PROPERTIES: u8 = 0x5d;
/// A length that is not known in advance: an end mark stands in the stream.
const UNKNOWN: u64 = u64::MAX;

// Where the probabilities of each kind of bit stand. Twelve states, four places modulo, eight literal contexts.
const IS_MATCH: usize = 0;
const IS_REP: usize = IS_MATCH + 12 * 4;
const IS_REP_G0: usize = IS_REP + 12;
const IS_REP_G1: usize = IS_REP_G0 + 12;
const IS_REP_G2: usize = IS_REP_G1 + 12;
const IS_REP0_LONG: usize = IS_REP_G2 + 12;
const SLOT: usize = IS_REP0_LONG + 12 * 4;
const SPECIAL: usize = SLOT + 4 * 64;
const ALIGN: usize = SPECIAL + 115;
const LENGTH: usize = ALIGN + 16;
const REP_LENGTH: usize = LENGTH + LENGTHS;
const LITERAL: usize = REP_LENGTH + LENGTHS;
const ALL: usize = LITERAL + 8 * 0x300;
/// A length's: two choices, short and middle ones by place, long ones.
const LENGTHS: usize = 2 + 2 * 4 * 8 + 256;

/// What the stream holds; nothing where it is damaged, of another kind, or more than `max` bytes.
pub(super) fn decode(stream: &[u8], max: usize) -> Option<Vec<u8>> {
    let (&[properties, _, _, _, _, ref length @ ..], coded) = stream.split_first_chunk::<13>()?;
    let length = u64::from_le_bytes(*length);
    let length = if length == UNKNOWN { None } else { Some(usize::try_from(length).ok()?) };
    let (&[0, ref code @ ..], coded) = coded.split_first_chunk::<5>()? else { return None };
    if properties != PROPERTIES || length.is_some_and(|length| length > max) {
        return None;
    }
    let bits = Bits { coded, range: u32::MAX, code: u32::from_be_bytes(*code), odds: vec![1024; ALL] };
    Decoding { bits, out: Vec::new() }.run(length, max)
}

/// The range decoder, and how likely each kind of bit is to be 0 (in 2048).
struct Bits<'s> {
    coded: &'s [u8],
    range: u32,
    code: u32,
    odds: Vec<u16>,
}

impl Bits<'_> {
    fn filled_up(&mut self) -> Option<()> {
        if self.range < 1 << 24 {
            let (next, coded) = self.coded.split_first()?;
            self.coded = coded;
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(*next);
        }
        Some(())
    }

    /// Once for all, since this crate is compiled for speed, of which nobody needs any here.
    #[inline(never)]
    fn bit(&mut self, at: usize) -> Option<usize> {
        self.filled_up()?;
        let odds = self.odds.get_mut(at)?;
        let bound = (self.range >> 11) * u32::from(*odds);
        if self.code < bound {
            self.range = bound;
            *odds += (2048 - *odds) >> 5;
            Some(0)
        } else {
            self.range -= bound;
            self.code -= bound;
            *odds -= *odds >> 5;
            Some(1)
        }
    }

    /// Bits that are as likely 0 as 1, the highest first.
    fn even(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for _ in 0..count {
            self.filled_up()?;
            self.range >>= 1;
            let one = self.code >= self.range;
            if one {
                self.code -= self.range;
            }
            value = value << 1 | usize::from(one);
        }
        Some(value)
    }

    /// A number of `count` bits, each likely by those before it.
    #[inline(never)]
    fn tree(&mut self, from: usize, count: usize) -> Option<usize> {
        let mut node = 1;
        for _ in 0..count {
            node = node << 1 | self.bit(from + node)?;
        }
        Some(node - (1 << count))
    }

    /// The same, the lowest bit first.
    fn tree_upside_down(&mut self, from: usize, count: usize) -> Option<usize> {
        let (mut node, mut value) = (1, 0);
        for at in 0..count {
            let bit = self.bit(from + node)?;
            node = node << 1 | bit;
            value |= bit << at;
        }
        Some(value)
    }

    #[inline(never)]
    fn length(&mut self, from: usize, place: usize) -> Option<usize> {
        if self.bit(from)? == 0 {
            return Some(2 + self.tree(from + 2 + place * 8, 3)?);
        }
        if self.bit(from + 1)? == 0 {
            return Some(10 + self.tree(from + 2 + 32 + place * 8, 3)?);
        }
        Some(18 + self.tree(from + 2 + 64, 8)?)
    }

    /// How far back a match begins, less one.
    fn distance(&mut self, length: usize) -> Option<u32> {
        let slot = self.tree(SLOT + (length - 2).min(3) * 64, 6)?;
        if slot < 4 {
            return u32::try_from(slot).ok();
        }
        let more = (slot >> 1) - 1;
        let head = (2 | slot & 1) << more;
        let tail = if slot < 14 {
            self.tree_upside_down(SPECIAL + head - slot, more)?
        } else {
            (self.even(more - 4)? << 4) + self.tree_upside_down(ALIGN, 4)?
        };
        u32::try_from(head + tail).ok()
    }
}

struct Decoding<'s> {
    bits: Bits<'s>,
    out: Vec<u8>,
}

impl Decoding<'_> {
    fn run(mut self, length: Option<usize>, max: usize) -> Option<Vec<u8>> {
        let mut state = 0_usize;
        // The last distances, the newest first.
        let mut back = [0_u32; 4];
        while length != Some(self.out.len()) {
            if self.out.len() >= length.unwrap_or(max) {
                // More than it said, or than is taken. An end mark may stand exactly at the limit; nobody writes such.
                return None;
            }
            let place = self.out.len() & 3;
            if self.bits.bit(IS_MATCH + state * 4 + place)? == 0 {
                let literal = self.literal(state, back[0])?;
                self.out.push(literal);
                state = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5].get(state).copied()?;
                continue;
            }
            let after_literal = state < 7;
            let times;
            if self.bits.bit(IS_REP + state)? == 0 {
                times = self.bits.length(LENGTH, place)?;
                state = if after_literal { 7 } else { 10 };
                back = [self.bits.distance(times)?, back[0], back[1], back[2]];
                if back[0] == u32::MAX {
                    return length.is_none().then_some(self.out);
                }
            } else {
                if self.bits.bit(IS_REP_G0 + state)? != 0 {
                    back = if self.bits.bit(IS_REP_G1 + state)? == 0 {
                        [back[1], back[0], back[2], back[3]]
                    } else if self.bits.bit(IS_REP_G2 + state)? == 0 {
                        [back[2], back[0], back[1], back[3]]
                    } else {
                        [back[3], back[0], back[1], back[2]]
                    };
                } else if self.bits.bit(IS_REP0_LONG + state * 4 + place)? == 0 {
                    state = if after_literal { 9 } else { 11 };
                    self.repeat(back[0], 1, max)?;
                    continue;
                }
                times = self.bits.length(REP_LENGTH, place)?;
                state = if after_literal { 8 } else { 11 };
            }
            self.repeat(back[0], times, max)?;
        }
        Some(self.out)
    }

    fn literal(&mut self, state: usize, back: u32) -> Option<u8> {
        let before = self.out.last().copied().unwrap_or(0);
        let from = LITERAL + 0x300 * usize::from(before >> 5);
        let mut node = 1;
        if state >= 7 {
            // After a match the byte that would have gone on with it says what is unlikely.
            let mut expected = usize::from(self.earlier(back)?);
            while node < 0x100 {
                expected <<= 1;
                let other = expected >> 8 & 1;
                let bit = self.bits.bit(from + ((1 + other) << 8) + node)?;
                node = node << 1 | bit;
                if other != bit {
                    break;
                }
            }
        }
        while node < 0x100 {
            node = node << 1 | self.bits.bit(from + node)?;
        }
        u8::try_from(node - 0x100).ok()
    }

    fn earlier(&self, back: u32) -> Option<u8> {
        let at = self.out.len().checked_sub(usize::try_from(back).ok()?)?.checked_sub(1)?;
        self.out.get(at).copied()
    }

    #[inline(never)]
    fn repeat(&mut self, back: u32, times: usize, max: usize) -> Option<()> {
        if self.out.len() + times > max {
            return None;
        }
        for _ in 0..times {
            let byte = self.earlier(back)?;
            self.out.push(byte);
        }
        Some(())
    }
}
