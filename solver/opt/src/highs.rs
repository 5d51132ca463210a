//! The edge to HiGHS: one owned instance, each call checked.
//!
//! All `unsafe` code of the HiGHS back ends is here; the callers hand over slices and get values or errors.
#![allow(unsafe_code)]

use crate::error::OptError;
use crate::outcome::StallReason;
use crate::program::LinearProgram;
use highs_sys as ffi;
use highs_sys::HighsInt;
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, null};
use std::time::Duration;

/// A value of an option.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OptionValue {
    Bool(bool),
    Int(HighsInt),
    Double(f64),
    Text(&'static CStr),
}

/// Where a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelStatus {
    Optimal,
    Infeasible,
    UnboundedOrInfeasible,
    Unbounded,
    /// None of these.
    Stopped(StallReason),
}

/// Primal point and multipliers in HiGHS's convention, which is this crate's.
pub(crate) struct Values {
    pub point: Vec<f64>,
    pub row_duals: Vec<f64>,
}

/// Which columns and rows of a program are basic, and at which bound the others stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    columns: Vec<HighsInt>,
    rows: Vec<HighsInt>,
}

impl Basis {
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn basic(&self) -> usize {
        self.columns.iter().chain(&self.rows).filter(|&&role| role == ffi::kHighsBasisStatusBasic).count()
    }
}

/// One HiGHS instance with the program it was given.
#[derive(Debug)]
pub(crate) struct Highs {
    instance: NonNull<c_void>,
    columns: usize,
    rows: usize,
    threads: HighsInt,
}

// SAFETY: the instance owns its data, and HiGHS keeps nothing of it in thread-local storage: the scheduler found
// there is looked up again in each run. An instance is used by one thread at a time because `Highs` is not `Sync`.
unsafe impl Send for Highs {}

impl Drop for Highs {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Highs_create` and is destroyed here only.
        unsafe { ffi::Highs_destroy(self.instance.as_ptr()) }
    }
}

thread_local! {
    /// Workers of the scheduler that HiGHS keeps for this thread; 0 before the first run.
    static WORKERS: Cell<HighsInt> = const { Cell::new(0) };
}

impl Highs {
    /// An instance without output that holds a program. Crossed bounds are passed as if both ends were the lower one:
    /// the caller answers for them before it runs.
    pub fn new(program: &LinearProgram, integer_columns: &[usize], threads: usize) -> Result<Self, OptError> {
        let (columns, rows) = (count("columns", program.columns())?, count("rows", program.rows.len())?);
        let threads = count("threads", threads)?;
        // SAFETY: takes nothing.
        let instance = NonNull::new(unsafe { ffi::Highs_create() }).ok_or(OptError::HighsCall { call: "create" })?;
        let mut highs = Self { instance, columns: program.columns(), rows: program.rows.len(), threads };
        highs.set(c"output_flag", OptionValue::Bool(false))?;
        highs.set(c"threads", OptionValue::Int(threads))?;
        highs.set(c"parallel", OptionValue::Text(if threads > 1 { c"choose" } else { c"off" }))?;

        let matrix = RowMatrix::new(program)?;
        let uncrossed = |lower: f64, upper: f64| if lower > upper { lower } else { upper };
        let column_upper: Vec<f64> = program.lower.iter().zip(&program.upper).map(|(&l, &u)| uncrossed(l, u)).collect();
        let row_lower: Vec<f64> = program.rows.iter().map(|row| row.lower).collect();
        let row_upper: Vec<f64> = program.rows.iter().map(|row| uncrossed(row.lower, row.upper)).collect();
        let mut kinds = Vec::new();
        if !integer_columns.is_empty() {
            kinds.resize(program.columns(), ffi::kHighsVarTypeContinuous);
            integer_columns.iter().for_each(|&column| kinds[column] = ffi::kHighsVarTypeInteger);
        }
        // SAFETY: the arrays have the announced lengths (columns, rows, the matrix's own counts, no Hessian), indices
        // were checked by `LinearProgram::check`, and HiGHS copies them. `integrality` may be null.
        let status = unsafe {
            ffi::Highs_passModel(
                highs.instance.as_ptr(),
                columns,
                rows,
                count("coefficients", matrix.values.len())?,
                0,
                ffi::kHighsMatrixFormatRowwise,
                ffi::kHighsHessianFormatTriangular,
                ffi::kHighsObjSenseMinimize,
                0.0,
                program.objective.as_ptr(),
                program.lower.as_ptr(),
                column_upper.as_ptr(),
                row_lower.as_ptr(),
                row_upper.as_ptr(),
                matrix.starts.as_ptr(),
                matrix.columns.as_ptr(),
                matrix.values.as_ptr(),
                null(),
                null(),
                null(),
                if kinds.is_empty() { null() } else { kinds.as_ptr() },
            )
        };
        // A warning says that coefficients too small to matter were dropped.
        check("passModel", status)?;
        Ok(highs)
    }

    pub fn set(&mut self, option: &CStr, value: OptionValue) -> Result<(), OptError> {
        let (instance, name) = (self.instance.as_ptr(), option.as_ptr());
        // SAFETY: the instance is alive, the strings end in a zero byte and are copied.
        let status = unsafe {
            match value {
                OptionValue::Bool(value) => ffi::Highs_setBoolOptionValue(instance, name, HighsInt::from(value)),
                OptionValue::Int(value) => ffi::Highs_setIntOptionValue(instance, name, value),
                OptionValue::Double(value) => ffi::Highs_setDoubleOptionValue(instance, name, value),
                OptionValue::Text(value) => ffi::Highs_setStringOptionValue(instance, name, value.as_ptr()),
            }
        };
        if status == ffi::kHighsStatusOk {
            return Ok(());
        }
        Err(OptError::HighsOption { option: option.to_string_lossy().into_owned(), value: format!("{value:?}") })
    }

    pub fn set_time_limit(&mut self, limit: Option<Duration>) -> Result<(), OptError> {
        let seconds = limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
        self.set(c"time_limit", OptionValue::Double(seconds))
    }

    /// Replaces the bounds of some columns, each named once.
    pub fn change_bounds(&mut self, columns: &[usize], lower: &[f64], upper: &[f64]) -> Result<(), OptError> {
        assert!(columns.len() == lower.len() && columns.len() == upper.len(), "columns and bounds differ in length");
        let set = self.indices(columns)?;
        // SAFETY: three arrays of the announced length; indices are below the number of columns; HiGHS copies them.
        let status = unsafe {
            ffi::Highs_changeColsBoundsBySet(
                self.instance.as_ptr(),
                count("columns", set.len())?,
                set.as_ptr(),
                lower.as_ptr(),
                upper.as_ptr(),
            )
        };
        check("changeColsBoundsBySet", status)
    }

    /// Replaces the costs of some columns, each named once.
    pub fn change_costs(&mut self, columns: &[usize], costs: &[f64]) -> Result<(), OptError> {
        assert_eq!(columns.len(), costs.len(), "columns and costs differ in length");
        let set = self.indices(columns)?;
        // SAFETY: as in `change_bounds`.
        let status = unsafe {
            ffi::Highs_changeColsCostBySet(
                self.instance.as_ptr(),
                count("columns", set.len())?,
                set.as_ptr(),
                costs.as_ptr(),
            )
        };
        check("changeColsCostBySet", status)
    }

    /// Forgets basis and solution.
    pub fn clear_solver(&mut self) -> Result<(), OptError> {
        // SAFETY: the instance is alive.
        check("clearSolver", unsafe { ffi::Highs_clearSolver(self.instance.as_ptr()) })
    }

    /// Solves, from the basis at hand if there is one.
    pub fn run(&mut self) -> Result<ModelStatus, OptError> {
        // HiGHS keeps a scheduler per thread and refuses to run when its size differs from the option.
        WORKERS.with(|workers| {
            if workers.get() != 0 && workers.get() != self.threads {
                // SAFETY: no run is under way on this thread.
                unsafe { ffi::Highs_resetThreadScheduler(1) };
            }
            workers.set(self.threads);
        });
        // The limit on time counts from the instance's first run unless its clocks are reset.
        // SAFETY: the instance is alive.
        check("zeroAllClocks", unsafe { ffi::Highs_zeroAllClocks(self.instance.as_ptr()) })?;
        // SAFETY: the instance is alive and no other thread uses it, since it is not `Sync`.
        let status = unsafe { ffi::Highs_run(self.instance.as_ptr()) };
        // SAFETY: the instance is alive.
        let model = unsafe { ffi::Highs_getModelStatus(self.instance.as_ptr()) };
        Ok(match model {
            ffi::kHighsModelStatusSolveError
            | ffi::kHighsModelStatusPresolveError
            | ffi::kHighsModelStatusPostsolveError => ModelStatus::Stopped(StallReason::Numerics),
            ffi::kHighsModelStatusMemoryLimit => ModelStatus::Stopped(StallReason::Memory),
            ffi::kHighsModelStatusUnknown => ModelStatus::Stopped(StallReason::Accuracy),
            // Whatever else it says is not to be trusted after an error.
            _ if status == ffi::kHighsStatusError => return Err(OptError::HighsCall { call: "run" }),
            ffi::kHighsModelStatusOptimal => ModelStatus::Optimal,
            ffi::kHighsModelStatusInfeasible => ModelStatus::Infeasible,
            ffi::kHighsModelStatusUnboundedOrInfeasible => ModelStatus::UnboundedOrInfeasible,
            ffi::kHighsModelStatusUnbounded => ModelStatus::Unbounded,
            ffi::kHighsModelStatusTimeLimit => ModelStatus::Stopped(StallReason::Time),
            ffi::kHighsModelStatusIterationLimit => ModelStatus::Stopped(StallReason::Iterations),
            status => return Err(OptError::HighsStatus { status }),
        })
    }

    /// Whether the last run left a point that is feasible to the tolerance.
    pub fn has_feasible_point(&self) -> Result<bool, OptError> {
        Ok(self.int_info(c"primal_solution_status")? == ffi::kHighsSolutionStatusFeasible)
    }

    pub fn int_info(&self, name: &CStr) -> Result<HighsInt, OptError> {
        let mut value = 0;
        // SAFETY: the name ends in a zero byte and one integer is written.
        let status = unsafe { ffi::Highs_getIntInfoValue(self.instance.as_ptr(), name.as_ptr(), &mut value) };
        check("getIntInfoValue", status).map(|()| value)
    }

    pub fn long_info(&self, name: &CStr) -> Result<i64, OptError> {
        let mut value = 0;
        // SAFETY: the name ends in a zero byte and one integer is written.
        let status = unsafe { ffi::Highs_getInt64InfoValue(self.instance.as_ptr(), name.as_ptr(), &mut value) };
        check("getInt64InfoValue", status).map(|()| value)
    }

    pub fn double_info(&self, name: &CStr) -> Result<f64, OptError> {
        let mut value = 0.0;
        // SAFETY: the name ends in a zero byte and one number is written.
        let status = unsafe { ffi::Highs_getDoubleInfoValue(self.instance.as_ptr(), name.as_ptr(), &mut value) };
        check("getDoubleInfoValue", status).map(|()| value)
    }

    pub fn values(&self) -> Result<Values, OptError> {
        let mut point = vec![0.0; self.columns];
        let (mut column_duals, mut activities, mut row_duals) =
            (vec![0.0; self.columns], vec![0.0; self.rows], vec![0.0; self.rows]);
        // SAFETY: two arrays with an entry per column and two with one per row are written.
        let status = unsafe {
            ffi::Highs_getSolution(
                self.instance.as_ptr(),
                point.as_mut_ptr(),
                column_duals.as_mut_ptr(),
                activities.as_mut_ptr(),
                row_duals.as_mut_ptr(),
            )
        };
        check("getSolution", status)?;
        Ok(Values { point, row_duals })
    }

    /// Multipliers of the rows that show infeasibility, of either sign, if the method finds them.
    ///
    /// After presolve there are none; HiGHS then solves the feasibility problem without presolve for them.
    pub fn dual_ray(&mut self) -> Result<Option<Vec<f64>>, OptError> {
        let mut found = 0;
        let mut ray = vec![0.0; self.rows];
        // SAFETY: one integer and an array with an entry per row are written.
        let status = unsafe { ffi::Highs_getDualRay(self.instance.as_ptr(), &mut found, ray.as_mut_ptr()) };
        check("getDualRay", status)?;
        Ok((found != 0).then_some(ray))
    }

    pub fn basis(&self) -> Result<Option<Basis>, OptError> {
        if self.int_info(c"basis_validity")? != ffi::kHighsBasisValidityValid {
            return Ok(None);
        }
        let mut basis = Basis { columns: vec![0; self.columns], rows: vec![0; self.rows] };
        let (columns, rows) = (basis.columns.as_mut_ptr(), basis.rows.as_mut_ptr());
        // SAFETY: an array with an entry per column and one with an entry per row are written.
        let status = unsafe { ffi::Highs_getBasis(self.instance.as_ptr(), columns, rows) };
        check("getBasis", status).map(|()| Some(basis))
    }

    pub fn set_basis(&mut self, basis: &Basis) -> Result<(), OptError> {
        assert!(basis.columns.len() == self.columns && basis.rows.len() == self.rows, "the basis has another shape");
        let (columns, rows) = (basis.columns.as_ptr(), basis.rows.as_ptr());
        // SAFETY: an array with an entry per column and one with an entry per row are read.
        let status = unsafe { ffi::Highs_setBasis(self.instance.as_ptr(), columns, rows) };
        check("setBasis", status)
    }

    fn indices(&self, columns: &[usize]) -> Result<Vec<HighsInt>, OptError> {
        let index = |&column: &usize| {
            if column >= self.columns {
                return Err(OptError::ColumnIndex { column, columns: self.columns });
            }
            count("columns", column)
        };
        columns.iter().map(index).collect()
    }
}

/// Coefficients by rows, repeated columns added up.
struct RowMatrix {
    starts: Vec<HighsInt>,
    columns: Vec<HighsInt>,
    values: Vec<f64>,
}

impl RowMatrix {
    fn new(program: &LinearProgram) -> Result<Self, OptError> {
        let mut matrix =
            Self { starts: Vec::with_capacity(program.rows.len()), columns: Vec::new(), values: Vec::new() };
        // Place of each column's entry in the row at hand; places before the row's start are of earlier rows.
        let mut place = vec![None; program.columns()];
        for row in &program.rows {
            let start = matrix.values.len();
            matrix.starts.push(count("coefficients", start)?);
            for &(column, value) in &row.entries {
                match place[column] {
                    Some(at) if at >= start => matrix.values[at] += value,
                    _ => {
                        place[column] = Some(matrix.values.len());
                        matrix.columns.push(count("columns", column)?);
                        matrix.values.push(value);
                    }
                }
            }
        }
        Ok(matrix)
    }
}

fn count(what: &'static str, count: usize) -> Result<HighsInt, OptError> {
    HighsInt::try_from(count).map_err(|_| OptError::TooLarge { what, count })
}

fn check(call: &'static str, status: HighsInt) -> Result<(), OptError> {
    if status == ffi::kHighsStatusOk || status == ffi::kHighsStatusWarning {
        Ok(())
    } else {
        Err(OptError::HighsCall { call })
    }
}
