//! Work that keeps a core busy, away from the runtime's threads.
//!
//! HTTP, leases and heartbeats live on the runtime, so nothing may hold one of its threads for long. Parsing,
//! chunking and extraction run on threads of their own instead, at most one fewer at a time than the machine has
//! cores. A thread cannot be stopped from outside, so the work itself calls [`Turn::check`] as it goes: it ends
//! there when its job was cancelled or has used its time, and yields its core when another tenant is due. The
//! tenant that has used least goes first, so a small document waits for one slice of a large one, whatever other
//! tenants upload.
//!
//! Memory is shared likewise: a job reserves beforehand the bytes that it may need, and waits until they are free.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jobs::tenant::TenantId;
use tokio::sync::oneshot;

const MIB: u64 = 1024 * 1024;
/// Reservations below this size never wait: the number of jobs that run at once bounds them.
const SMALL_BYTES: u64 = 8 * MIB;
/// Length of a time slice: after it, a waiting tenant that has used less goes first.
const SLICE: Duration = Duration::from_millis(10);
/// Bytes processed between two looks at the clock.
const STEP_BYTES: usize = 4096;

/// Limits of CPU time and memory for the work of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ComputeLimits {
    /// How many cores may be busy at once.
    pub places: NonZero<u16>,
    /// How long one piece of work may keep a core busy.
    pub time: Duration,
    /// Sum of all reservations in bytes, small ones aside.
    pub memory_bytes: u64,
}

impl Default for ComputeLimits {
    /// Leaves one core to the runtime.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let places = u16::try_from(cores.saturating_sub(1)).ok().and_then(NonZero::new);
        Self {
            places: places.unwrap_or(NonZero::<u16>::MIN),
            time: Duration::from_secs(120),
            memory_bytes: 512 * MIB,
        }
    }
}

/// Why a computation ended early.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stopped {
    /// The caller dropped the future that waits for the result, or the process is ending.
    #[error("the work was cancelled")]
    Cancelled,
    /// The computation used up [`ComputeLimits::time`].
    #[error("it keeps a core busy for more than {} s; split it into smaller files", .0.as_secs())]
    TooLong(Duration),
    /// A bug in the computation.
    #[error("the work panicked")]
    Panicked,
}

/// Runs CPU-bound work for all tenants of a process, fairly between tenants.
#[derive(Clone, Debug)]
pub struct Compute {
    places: Arc<Shared>,
    memory: Arc<Shared>,
    limits: ComputeLimits,
}

impl Compute {
    /// Threads start when there is work.
    #[must_use]
    pub fn new(limits: ComputeLimits) -> Self {
        let places = Arc::new(Shared::of(u64::from(limits.places.get()), Measure::Time));
        let memory = Arc::new(Shared::of(limits.memory_bytes.max(SMALL_BYTES), Measure::Held));
        Self { places, memory, limits }
    }

    /// A handle that charges its work to one tenant.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> TenantCompute {
        TenantCompute { compute: self.clone(), tenant: tenant.clone() }
    }
}

/// Runs CPU-bound work on account of one tenant.
#[derive(Clone, Debug)]
pub struct TenantCompute {
    compute: Compute,
    tenant: TenantId,
}

impl TenantCompute {
    /// Waits until `bytes` are free, and holds them until the reservation is dropped. A request for more than the
    /// total is treated as a request for the total.
    ///
    /// # Errors
    /// When the process is ending.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation, Stopped> {
        if bytes < SMALL_BYTES {
            return Ok(Reservation { _permit: None });
        }
        let asked = self.compute.memory.ask(&self.tenant, bytes, Position::Last);
        let permit = asked.await.map_err(|_| Stopped::Cancelled)?;
        Ok(Reservation { _permit: Some(permit) })
    }

    /// Runs `work` on a thread of its own once this tenant is due. The work has to call [`Turn::check`] as it goes;
    /// when the caller drops the future, the next such call tells the work to stop.
    ///
    /// # Errors
    /// [`Stopped::Panicked`], and [`Stopped::Cancelled`] when the process is ending.
    pub async fn run<T, W>(&self, work: W) -> Result<T, Stopped>
    where
        T: Send + 'static,
        W: FnOnce(&Turn) -> T + Send + 'static,
    {
        let abandoned = Abandoned::default();
        let places = &self.compute.places;
        let permit = places.ask(&self.tenant, 1, Position::Last).await.map_err(|_| Stopped::Cancelled)?;
        let (limit, flag) = (self.compute.limits.time, Arc::clone(&abandoned.0));
        let done = tokio::task::spawn_blocking(move || work(&Turn::holding(permit, limit, flag))).await;
        done.map_err(|error| if error.is_panic() { Stopped::Panicked } else { Stopped::Cancelled })
    }
}

/// Reserved memory, released when dropped.
#[derive(Debug)]
#[must_use = "the memory is free again at once"]
pub struct Reservation {
    _permit: Option<Permit>,
}

/// Tells the work that the future waiting for its result was dropped.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The right to keep a core busy, within the time that is left. Work passes it down to every loop over text.
#[derive(Debug)]
pub struct Turn {
    /// `None` for work without limits.
    limited: Option<Limited>,
}

#[derive(Debug)]
struct Limited {
    /// `None` only while the work waits for its next slice.
    permit: RefCell<Option<Permit>>,
    slice_end: Cell<Instant>,
    /// Time used in earlier slices.
    spent: Cell<Duration>,
    limit: Duration,
    abandoned: Arc<AtomicBool>,
    /// Bytes since the last look at the clock.
    bytes: Cell<usize>,
}

impl Turn {
    /// For work that shares the machine with no other tenant, such as a command line tool.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { limited: None }
    }

    fn holding(permit: Permit, limit: Duration, abandoned: Arc<AtomicBool>) -> Self {
        let limited = Limited {
            slice_end: Cell::new(Instant::now() + SLICE),
            permit: RefCell::new(Some(permit)),
            spent: Cell::default(),
            limit,
            abandoned,
            bytes: Cell::default(),
        };
        Self { limited: Some(limited) }
    }

    /// Call it in every loop, with the number of bytes processed since the last call. Blocks the thread while
    /// another tenant is due.
    ///
    /// # Errors
    /// When the work is to end: its job was cancelled, or it has used its time.
    pub fn check(&self, bytes: usize) -> Result<(), Stopped> {
        let Some(limited) = &self.limited else { return Ok(()) };
        let bytes = limited.bytes.get().saturating_add(bytes).saturating_add(1);
        if bytes < STEP_BYTES {
            limited.bytes.set(bytes);
            return Ok(());
        }
        limited.bytes.set(0);
        limited.look_up()
    }
}

impl Limited {
    fn look_up(&self) -> Result<(), Stopped> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Err(Stopped::Cancelled);
        }
        let now = Instant::now();
        if now < self.slice_end.get() {
            return Ok(());
        }
        self.spent.set(self.spent.get() + now.saturating_duration_since(self.slice_end.get()) + SLICE);
        if self.spent.get() > self.limit {
            return Err(Stopped::TooLong(self.limit));
        }
        if let Some(permit) = self.permit.take() {
            *self.permit.borrow_mut() = Some(permit.take_turns()?);
        }
        self.slice_end.set(Instant::now() + SLICE);
        Ok(())
    }
}

/// How a tenant's share is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Measure {
    /// Nanoseconds of use, added up since the tenant's first request.
    Time,
    /// What the tenant holds at the moment.
    Held,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Position {
    /// Before the tenant's other requests: this work was interrupted in the middle.
    First,
    Last,
}

/// A resource that tenants share: the tenant with the smallest share is served next.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    measure: Measure,
    total: u64,
}

#[derive(Debug, Default)]
struct State {
    free: u64,
    /// The tenants that hold a permit or wait for one.
    tenants: HashMap<TenantId, Share>,
    /// Share of the tenant that was served last. A tenant that arrives starts here, so that it cannot claim what
    /// others used before it came.
    floor: u64,
}

#[derive(Debug, Default)]
struct Share {
    had: u64,
    permits: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    amount: u64,
    sender: oneshot::Sender<Permit>,
}

/// A tenant's part of the resource, given back when dropped.
#[derive(Debug)]
struct Permit {
    shared: Arc<Shared>,
    tenant: TenantId,
    amount: u64,
    since: Instant,
}

impl Shared {
    fn of(total: u64, measure: Measure) -> Self {
        Self { state: Mutex::new(State { free: total, ..State::default() }), measure, total }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock can panic half-way, so the state is sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(
        self: &Arc<Self>,
        tenant: &TenantId,
        amount: u64,
        position: Position,
    ) -> oneshot::Receiver<Permit> {
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting { amount: amount.min(self.total), sender };
        let mut state = self.state();
        let floor = state.floor;
        let new = || Share { had: floor, ..Share::default() };
        let queue = &mut state.tenants.entry(tenant.clone()).or_insert_with(new).waiting;
        match position {
            Position::First => queue.push_front(waiting),
            Position::Last => queue.push_back(waiting),
        }
        drop(state);
        self.serve();
        receiver
    }

    /// Hands out what is free. The lock is not held meanwhile: sending to a receiver that is gone drops the permit,
    /// which takes the lock itself.
    fn serve(self: &Arc<Self>) {
        loop {
            let served = self.state().next(self.measure);
            let Some((tenant, Waiting { amount, sender })) = served else { return };
            let permit = Permit { shared: Arc::clone(self), tenant, amount, since: Instant::now() };
            drop(sender.send(permit));
        }
    }
}

impl State {
    /// Serves the tenant with the smallest share or none: skipping a request that does not fit yet would let small
    /// requests starve it.
    fn next(&mut self, measure: Measure) -> Option<(TenantId, Waiting)> {
        for share in self.tenants.values_mut() {
            share.waiting.retain(|waiting| !waiting.sender.is_closed());
        }
        self.tenants.retain(|_, share| share.permits > 0 || !share.waiting.is_empty());
        let waiting = self.tenants.iter_mut().filter(|(_, share)| !share.waiting.is_empty());
        let (tenant, share) = waiting.min_by_key(|(_, share)| share.had)?;
        let waiting = share.waiting.pop_front_if(|waiting| waiting.amount <= self.free)?;
        self.free -= waiting.amount;
        share.permits += 1;
        match measure {
            Measure::Time => self.floor = self.floor.max(share.had),
            Measure::Held => share.had += waiting.amount,
        }
        Some((tenant.clone(), waiting))
    }
}

impl Permit {
    /// Lets tenants with a smaller share go first, if any wait. The interrupted work comes before all other work of
    /// its tenant. Blocks.
    fn take_turns(self) -> Result<Self, Stopped> {
        let next = self.shared.ask(&self.tenant, self.amount, Position::First);
        drop(self);
        next.blocking_recv().map_err(|_| Stopped::Cancelled)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let held = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut state = self.shared.state();
        state.free += self.amount;
        if let Some(share) = state.tenants.get_mut(&self.tenant) {
            share.permits -= 1;
            share.had = match self.shared.measure {
                Measure::Time => share.had.saturating_add(held),
                Measure::Held => share.had - self.amount,
            };
        }
        drop(state);
        self.shared.serve();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn compute(places: u16, time: Duration, memory_bytes: u64) -> Compute {
        let places = NonZero::new(places).expect("at least one");
        Compute::new(ComputeLimits { places, time, memory_bytes })
    }

    fn tenant(compute: &Compute, name: &str) -> TenantCompute {
        compute.of(&name.parse().expect("a tenant id"))
    }

    /// Work that never ends by itself.
    fn endless(turn: &Turn) -> Stopped {
        loop {
            if let Err(stopped) = turn.check(STEP_BYTES) {
                return stopped;
            }
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tenant_that_comes_goes_before_those_that_work_without_end() {
        let compute = compute(1, HOUR, 0);
        let heavy = tenant(&compute, "heavy");
        let works: Vec<_> = (0..8)
            .map(|_| {
                let heavy = heavy.clone();
                tokio::spawn(async move { heavy.run(endless).await })
            })
            .collect();
        // With one place and no turns this would never return.
        for name in ["light", "other", "light"] {
            assert_eq!(tenant(&compute, name).run(|turn| turn.check(STEP_BYTES)).await, Ok(Ok(())));
        }
        for work in works {
            work.abort();
        }
        // The abandoned work ends, so its place is free.
        assert_eq!(heavy.run(|_| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn places_bound_what_runs_at_once() {
        let compute = compute(2, HOUR, 0);
        let (entered, inside) = mpsc::channel();
        let release = Arc::new(AtomicBool::new(false));
        let works: Vec<_> = (0..6)
            .map(|number| {
                let (work, entered) = (tenant(&compute, &format!("t{number}")), entered.clone());
                let release = Arc::clone(&release);
                // Never asks for its turn: it keeps its place until it is released.
                let hold = move |_: &Turn| {
                    entered.send(()).expect("the test listens");
                    while !release.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                };
                tokio::spawn(async move { work.run(hold).await })
            })
            .collect();
        let inside = tokio::task::spawn_blocking(move || {
            inside.recv().expect("the first");
            inside.recv().expect("the second");
            let third = inside.recv_timeout(Duration::from_millis(50));
            (inside, third)
        });
        let (inside, third) = inside.await.expect("no panic");
        assert_eq!(third, Err(mpsc::RecvTimeoutError::Timeout));
        release.store(true, Ordering::Relaxed);
        for work in works {
            assert_eq!(work.await.expect("no panic"), Ok(()));
        }
        assert_eq!(inside.try_iter().count(), 4);
    }

    #[tokio::test]
    async fn work_ends_when_its_time_is_used_or_its_caller_gone() {
        let compute = compute(1, Duration::from_millis(30), 0);
        let acme = tenant(&compute, "acme");
        assert_eq!(acme.run(endless).await, Ok(Stopped::TooLong(Duration::from_millis(30))));
        let (sender, ended) = oneshot::channel();
        let work = acme.clone();
        let work = tokio::spawn(async move { work.run(move |turn| sender.send(endless(turn))).await });
        tokio::task::yield_now().await;
        work.abort();
        // It may have used its time before it was told.
        assert!(matches!(ended.await, Ok(Stopped::Cancelled | Stopped::TooLong(_)) | Err(_)));
        assert_eq!(acme.run(|_| -> u8 { panic!("a bug") }).await, Err(Stopped::Panicked));
        assert_eq!(acme.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn memory_goes_to_those_that_hold_least_and_small_work_never_waits() {
        let compute = compute(1, HOUR, 30 * MIB);
        let (heavy, light) = (tenant(&compute, "heavy"), tenant(&compute, "light"));
        let first = heavy.reserve(20 * MIB).await;
        // More than there is at all counts as all.
        let mut whole = Box::pin(heavy.reserve(1 << 40));
        assert!(futures::poll!(&mut whole).is_pending());
        let held = light.reserve(10 * MIB).await.expect("it holds nothing, and 10 are free");
        let small = heavy.reserve(SMALL_BYTES - 1).await.expect("small work never waits");
        drop((first, small));
        assert!(futures::poll!(&mut whole).is_pending());
        drop(held);
        drop(whole.await.expect("everything is free"));
        // A future that is dropped leaves nothing behind.
        let all = light.reserve(30 * MIB).await;
        let mut gone = Box::pin(heavy.reserve(30 * MIB));
        assert!(futures::poll!(&mut gone).is_pending());
        drop((gone, all));
        drop(light.reserve(30 * MIB).await.expect("free again"));
        assert!(compute.memory.state().tenants.is_empty());
    }
}
