/// A window that slides along with time and may hold so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// How much it may hold.
    pub limit: u64,
    /// How long it is.
    pub window_s: u32,
    /// Its end, the present moment, in seconds since the Unix epoch.
    pub now_s: i64,
}

/// What a [`RateWindow`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTaken {
    /// Whether there was room. If not, nothing was taken.
    pub taken: bool,
    /// How much it holds now.
    pub used: u64,
    /// When the oldest of it leaves the window, and makes room.
    pub frees_in_s: u32,
}
