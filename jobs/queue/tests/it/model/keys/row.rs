//! A tenant's row, as `00_tenants.lua` packs it.

const ROW_BYTES: usize = 87;
/// Why no job of a skill may start.
pub(in crate::model) const PAUSED: u16 = 256;
pub(in crate::model) const CAPPED: u16 = 512;

#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Row {
    pub(in crate::model) virtual_time: f64,
    pub(in crate::model) tat: f64,
    pub(in crate::model) hold: f64,
    pub(in crate::model) credit: f64,
    pub(in crate::model) weight: f64,
    pub(in crate::model) cap: f64,
    pub(in crate::model) emit: f64,
    pub(in crate::model) burst: f64,
    pub(in crate::model) estimate: f64,
    pub(in crate::model) bytes: f64,
    /// Visits of fetches.
    pub(in crate::model) visits: u16,
    pub(in crate::model) epoch: u16,
    pub(in crate::model) flags: u16,
    pub(in crate::model) state: State,
    /// Skill -> levels with jobs, and why none of them may start.
    pub(in crate::model) skills: Vec<(usize, u16)>,
    /// Skill -> levels in which branches take turns.
    pub(in crate::model) turns: Vec<(usize, u16)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::model) enum State {
    #[default]
    Idle,
    Ready,
    Capped,
    Limited,
    Paused,
}

impl Row {
    /// Flags, in the order of their bits.
    pub(in crate::model) const FLAGS: [&'static str; 13] = [
        "paused",
        "suspended",
        "draining",
        "ghosts",
        "cancels",
        "groups",
        "unique",
        "quotas",
        "caps",
        "queues",
        "garbage",
        "bytes",
        "branches",
    ];

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < ROW_BYTES || !(bytes.len() - ROW_BYTES).is_multiple_of(3) {
            return None;
        }
        let float = |at: usize| bytes[8 * at..8 * at + 8].try_into().map_or(f64::NAN, f64::from_le_bytes);
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (skills, turns) = said_of_skills(&bytes[ROW_BYTES..])?;
        Some(Self {
            virtual_time: float(0),
            tat: float(1),
            hold: float(2),
            credit: float(3),
            weight: float(4),
            cap: float(5),
            emit: float(6),
            burst: float(7),
            estimate: float(8),
            bytes: float(9),
            visits: short(80),
            epoch: short(82),
            flags: short(84),
            state: [State::Idle, State::Ready, State::Capped, State::Limited, State::Paused]
                .get(usize::from(bytes[86]))
                .copied()?,
            skills,
            turns,
        })
    }

    pub(in crate::model) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub(in crate::model) fn has(&self, flag: &str) -> bool {
        let bit = Self::FLAGS.iter().position(|name| *name == flag);
        bit.is_some_and(|bit| self.flags & (1 << bit) != 0)
    }

    pub(in crate::model) fn skill(&self, skill: usize) -> u16 {
        self.skills.iter().find(|(number, _)| *number == skill).map_or(0, |(_, bits)| *bits)
    }

    pub(in crate::model) fn turns(&self, skill: usize) -> u16 {
        self.turns.iter().find(|(number, _)| *number == skill).map_or(0, |(_, bits)| *bits)
    }

    /// Whether jobs of a skill may start, as far as the skill is concerned.
    pub(in crate::model) fn is_open(bits: u16) -> bool {
        bits != 0 && bits & (PAUSED | CAPPED) == 0
    }
}

type OfSkills = Vec<(usize, u16)>;

/// Up to three entries of three bytes for each skill: levels of the interactive lane with what closes the skill, levels
/// of bulk, levels in which branches take turns.
fn said_of_skills(bytes: &[u8]) -> Option<(OfSkills, OfSkills)> {
    let (mut skills, mut turns) = (OfSkills::new(), OfSkills::new());
    for entry in bytes.chunks_exact(3) {
        let number = usize::from(u16::from_le_bytes([entry[0], entry[1] & 0x3f]));
        let bits = u16::from(entry[2]);
        match entry[1] >> 6 {
            0 => skills.push((number, bits & 0x0f | (bits & 0x30) << 4)),
            1 => skills.iter_mut().find(|(skill, _)| *skill == number)?.1 |= bits << 4,
            2 => turns.push((number, bits)),
            _ => return None,
        }
    }
    Some((skills, turns))
}
