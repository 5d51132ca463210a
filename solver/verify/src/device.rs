//! Where ascents may run beside the processor: the user's choice, the device that was opened for it, and the copy of a network
//! that it keeps.
//!
//! | step | file |
//! |---|---|
//! | does a device take this batch? | this one |
//! | the network on a device | [`crate::resident`] |
//! | the ascent there | [`crate::ascent`] |
//! | what it proposes is bounded by the processor | [`crate::proposal`] |

use crate::alpha;
use crate::error::VerifyError;
use crate::network::{Function, Kind, Network};
use crate::portfolio;
use crate::proposal::Task;
use crate::resident::Resident;
use secateur_linalg::Scalar;
use secateur_linalg::device::{Cuda, Device, DeviceError};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What the user says about devices.
#[derive(Clone, Debug, Default)]
pub enum Choice {
    /// None, and none is looked for.
    #[default]
    Cpu,
    /// The first CUDA device, for every batch.
    Cuda,
    /// The first CUDA device where there is one, for batches that are large enough to pay.
    Auto,
    /// This one.
    Given(Arc<Accelerator>),
}

impl Choice {
    /// The name that the command line uses.
    pub fn name(&self) -> &'static str {
        match self {
            Choice::Cpu => "cpu",
            Choice::Cuda => "cuda",
            Choice::Auto => "auto",
            Choice::Given(_) => "given",
        }
    }

    /// The choice with its device open, for one verification after the other.
    ///
    /// # Errors
    /// CUDA was asked for and is not there.
    pub fn opened(&self) -> Result<Self, VerifyError> {
        Ok(self.open()?.map_or(Choice::Cpu, Choice::Given))
    }

    /// The name of the device, if one is open and was used, else `cpu`.
    pub fn used(&self) -> String {
        let used = if let Choice::Given(accelerator) = self { accelerator.used() } else { None };
        used.unwrap_or_else(|| "cpu".to_owned())
    }

    /// Opens what was chosen; `None` where only the processor computes.
    ///
    /// # Errors
    /// CUDA was asked for and is not there.
    pub fn open(&self) -> Result<Option<Arc<Accelerator>>, VerifyError> {
        match self {
            Choice::Cpu => Ok(None),
            Choice::Given(accelerator) => Ok(Some(accelerator.clone())),
            Choice::Auto => Ok(Cuda::is_likely().then(|| Arc::new(Accelerator::new(true, OnceLock::new())))),
            Choice::Cuda => {
                let cuda = Cuda::open().map_err(|source| VerifyError::NoDevice { source })?;
                Ok(Some(Arc::new(Accelerator::of(cuda))))
            }
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Choice {
    type Err = VerifyError;

    fn from_str(text: &str) -> Result<Self, VerifyError> {
        let found = [Choice::Cpu, Choice::Cuda, Choice::Auto].into_iter().find(|choice| choice.name() == text);
        found.ok_or_else(|| VerifyError::UnknownDevice { found: text.to_owned() })
    }
}

/// A device that is open, or is opened by the first batch that pays.
pub struct Accelerator {
    /// Whether only batches go there that are large enough.
    picks: bool,
    device: OnceLock<Option<Box<dyn Settle>>>,
    used: AtomicBool,
    failed: AtomicBool,
}

/// A device that takes copies of networks.
trait Settle: Send + Sync {
    fn name(&self) -> String;
    fn settle(&self, network: &Network<f32>) -> Result<Box<dyn Propose>, DeviceError>;
}

/// A network on a device, asked for slopes.
pub trait Propose: Send + Sync {
    /// Slopes and multipliers for the rows of a task, which nobody has to trust.
    ///
    /// # Errors
    /// The device fails.
    fn propose(&self, task: &Task<'_>) -> Result<alpha::Slopes<f32>, DeviceError>;
}

impl<D: Device + 'static> Settle for Arc<D> {
    fn name(&self) -> String {
        self.as_ref().name()
    }

    fn settle(&self, network: &Network<f32>) -> Result<Box<dyn Propose>, DeviceError> {
        Ok(Box::new(Resident::new(self.clone(), network)?))
    }
}

/// Launches of one step for each layer.
const LAUNCHES: usize = 8;

/// Multiplications that a core does while a kernel is launched, some ten microseconds.
const PRODUCTS_PER_LAUNCH: f64 = 2e5;

/// How much more than its launches a batch has to cost. A guess on the safe side.
const GAIN: f64 = 4.0;

/// How many times larger batches are that a device takes.
const TOGETHER: usize = 16;

impl Accelerator {
    fn new(picks: bool, device: OnceLock<Option<Box<dyn Settle>>>) -> Self {
        Self { picks, device, used: AtomicBool::new(false), failed: AtomicBool::new(false) }
    }

    /// This device, for every batch.
    pub fn of(device: impl Device + 'static) -> Self {
        let settle: Box<dyn Settle> = Box::new(Arc::new(device));
        Self::new(false, OnceLock::from(Some(settle)))
    }

    /// The name of the device, if it was used, and whether it failed.
    pub fn used(&self) -> Option<String> {
        let device = self.device.get().and_then(Option::as_ref).filter(|_| self.used.load(Ordering::Relaxed));
        let note = if self.failed.load(Ordering::Relaxed) { ", which failed" } else { "" };
        device.map(|device| device.name() + note)
    }

    /// Whether a batch of rows is taken.
    fn takes<T: Scalar>(&self, network: &Network<T>, rows: usize) -> bool {
        let launches = (LAUNCHES * network.layers.len()) as f64;
        let pays = rows as f64 * portfolio::products(network) > GAIN * launches * PRODUCTS_PER_LAUNCH;
        !self.failed.load(Ordering::Relaxed) && (pays || !self.picks)
    }

    fn device(&self) -> Option<&dyn Settle> {
        let open = || Cuda::open().ok().map(|cuda| Box::new(Arc::new(cuda)) as Box<dyn Settle>);
        self.device.get_or_init(open).as_deref()
    }
}

impl fmt::Debug for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accelerator").field("picks", &self.picks).field("used", &self.used()).finish_non_exhaustive()
    }
}

/// Where a network lives beside the processor.
#[derive(Clone, Default)]
pub struct Home {
    accelerator: Option<Arc<Accelerator>>,
    /// The copy on the device, made when first asked for; `None` where it cannot be.
    copy: Arc<OnceLock<Option<Box<dyn Propose>>>>,
}

impl Home {
    /// A network of which no copy was made yet.
    pub fn new(accelerator: Option<Arc<Accelerator>>) -> Self {
        Self { accelerator, copy: Arc::default() }
    }

    /// The same device for another network.
    pub fn elsewhere(&self) -> Self {
        Self::new(self.accelerator.clone())
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.accelerator.fmt(f)
    }
}

impl<T: Scalar> Network<T> {
    /// How many rows to bound together where `most` are without a device.
    pub fn together(&self, most: usize) -> usize {
        let takes = |a: &&Arc<Accelerator>| is_supported(self) && a.takes(self, TOGETHER * most);
        // In double precision nothing goes to a device.
        let single = T::UNIT_ROUNDOFF == f32::UNIT_ROUNDOFF;
        if single && self.home.accelerator.as_ref().filter(takes).is_some() { TOGETHER * most } else { most }
    }
}

impl Network<f32> {
    /// Slopes from the network's device, if it has one that takes the task.
    pub(crate) fn proposed(&self, task: &Task<'_>) -> Option<alpha::Slopes<f32>> {
        let accelerator = self.home.accelerator.as_ref()?;
        let settle = || accelerator.device()?.settle(self).ok();
        let found = self.home.copy.get_or_init(settle).as_ref().and_then(|copy| copy.propose(task).ok());
        // What failed once is not asked again.
        accelerator.failed.fetch_or(found.is_none(), Ordering::Relaxed);
        accelerator.used.fetch_or(found.is_some(), Ordering::Relaxed);
        found
    }

    /// The network's device answered what is no proposal: it is not asked again.
    pub(crate) fn distrust(&self) {
        self.home.accelerator.iter().for_each(|accelerator| accelerator.failed.store(true, Ordering::Relaxed));
    }

    /// Whether the network's device takes a batch of so many rows.
    pub(crate) fn is_proposed_for(&self, rows: usize) -> bool {
        self.home.accelerator.as_ref().is_some_and(|a| is_supported(self) && a.takes(self, rows))
    }
}

/// Whether the ascent on a device knows every layer: affine ones and ReLUs.
fn is_supported<T: Scalar>(network: &Network<T>) -> bool {
    network.layers.iter().all(|layer| match &layer.kind {
        Kind::Input | Kind::Affine(_) => true,
        Kind::Activation { function, .. } => *function == Function::Relu,
        Kind::Product(_) => false,
    })
}
