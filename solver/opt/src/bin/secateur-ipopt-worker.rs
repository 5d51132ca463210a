//! Runs Ipopt for a parent process that evaluates the functions; see `secateur_opt::wire`.
//!
//! Reads problems from the standard input until it ends, and writes messages to the standard output.

// The C interface of Ipopt.
#![allow(unsafe_code)]

use ipopt_sys::{
    CNLP_AlgorithmMode, CNLP_AlgorithmMode_CNLP_RESTORATION_PHASE_MODE, CNLP_ApplicationReturnStatus, CNLP_Bool,
    CNLP_CreateProblemStatus_CNLP_SUCCESS, CNLP_Index, CNLP_Number, CNLP_ProblemPtr, CNLP_UserDataPtr,
    cnlp_add_int_option, cnlp_add_num_option, cnlp_add_str_option, cnlp_create_problem, cnlp_free_problem,
    cnlp_set_intermediate_callback, cnlp_solve,
};
use secateur_opt::wire::{End, Message, Problem, read_answer};
use std::ffi::CString;
use std::io::{self, BufReader, BufWriter, StdinLock, StdoutLock};
use std::process::ExitCode;
use std::time::Instant;

/// The return codes of options and problems that Ipopt refuses.
const INVALID_OPTION: i32 = -12;
const INVALID_PROBLEM: i32 = -11;

struct State {
    problem: Problem,
    from: BufReader<StdinLock<'static>>,
    to: BufWriter<StdoutLock<'static>>,
    /// The first fault of the streams; after it the solve ends as soon as Ipopt lets it.
    fault: Option<io::Error>,
    began: Instant,
    timed_out: bool,
    iterations: u64,
    restorations: u64,
    is_restoring: bool,
}

fn main() -> ExitCode {
    let mut state = State {
        problem: Problem::default(),
        from: BufReader::new(io::stdin().lock()),
        to: BufWriter::new(io::stdout().lock()),
        fault: None,
        began: Instant::now(),
        timed_out: false,
        iterations: 0,
        restorations: 0,
        is_restoring: false,
    };
    loop {
        // The input ends where the parent does.
        match Problem::read(&mut state.from) {
            Ok(problem) => state.problem = problem,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        }
        state.began = Instant::now();
        (state.timed_out, state.is_restoring, state.iterations, state.restorations) = (false, false, 0, 0);
        let end = solve(&mut state);
        if state.fault.is_some() || Message::End(end).write(&mut state.to).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn solve(state: &mut State) -> End {
    let mut handle: CNLP_ProblemPtr = std::ptr::null_mut();
    // SAFETY: every callback has the signature that the interface declares, and `handle` is written before it is used.
    let created = unsafe {
        cnlp_create_problem(
            &raw mut handle,
            0,
            Some(sizes),
            Some(start),
            Some(bounds),
            Some(objective),
            Some(constraints),
            Some(gradient),
            Some(jacobian),
            Some(hessian),
            None,
        )
    };
    if created != CNLP_CreateProblemStatus_CNLP_SUCCESS {
        return End { code: INVALID_PROBLEM, ..End::default() };
    }
    let end = if configure(handle, &state.problem) {
        run(handle, state)
    } else {
        End { code: INVALID_OPTION, ..End::default() }
    };
    // SAFETY: `handle` was created above and is not used again.
    unsafe { cnlp_free_problem(handle) };
    end
}

fn configure(handle: CNLP_ProblemPtr, problem: &Problem) -> bool {
    let text = |text: &str| CString::new(text).ok();
    let set = |name: &str, add: &dyn Fn(*const std::ffi::c_char) -> CNLP_Bool| {
        text(name).is_some_and(|name| add(name.as_ptr()) != 0)
    };
    // SAFETY: `handle` is a problem; the texts end with a zero and live through each call.
    unsafe {
        cnlp_set_intermediate_callback(handle, Some(intermediate));
        problem.numbers.iter().all(|(name, value)| set(name, &|name| cnlp_add_num_option(handle, name, *value)))
            && problem.integers.iter().all(|(name, value)| set(name, &|name| cnlp_add_int_option(handle, name, *value)))
            && problem.words.iter().all(|(name, value)| {
                text(value).is_some_and(|value| set(name, &|name| cnlp_add_str_option(handle, name, value.as_ptr())))
            })
    }
}

fn run(handle: CNLP_ProblemPtr, state: &mut State) -> End {
    let (n, m) = (state.problem.lower.len(), state.problem.row_lower.len());
    // SAFETY: `state` outlives the call, and only the callbacks use it meanwhile.
    let result = unsafe { cnlp_solve(handle, (&raw mut *state).cast()) };
    let copy = |from: *const CNLP_Number, length: usize| {
        if from.is_null() || length == 0 {
            return vec![0.0; length];
        }
        // SAFETY: the interface gives vectors of the sizes that `sizes` has set, which live until the problem is freed.
        unsafe { std::slice::from_raw_parts(from, length) }.to_vec()
    };
    let status: CNLP_ApplicationReturnStatus = result.status;
    End {
        code: status,
        timed_out: state.timed_out,
        iterations: state.iterations,
        restorations: state.restorations,
        point: copy(result.data.x, n),
        constraint_multipliers: copy(result.data.mult_g, m),
        lower_multipliers: copy(result.data.mult_x_L, n),
        upper_multipliers: copy(result.data.mult_x_U, n),
    }
}

/// The state behind the pointer that the interface hands to callbacks.
///
/// # Safety
/// `data` is the pointer that `run` gave, within its call.
unsafe fn state<'a>(data: CNLP_UserDataPtr) -> &'a mut State {
    // SAFETY: by the contract above; callbacks run one at a time on the thread of `run`.
    unsafe { &mut *data.cast::<State>() }
}

/// # Safety
/// `from` holds `length` numbers.
unsafe fn read_vector(from: *const CNLP_Number, length: usize) -> Vec<f64> {
    if length == 0 {
        return Vec::new();
    }
    // SAFETY: by the contract above.
    unsafe { std::slice::from_raw_parts(from, length) }.to_vec()
}

/// # Safety
/// `into` has room for the values.
unsafe fn write_vector(into: *mut CNLP_Number, values: &[f64]) {
    for (at, value) in values.iter().enumerate() {
        // SAFETY: by the contract above.
        unsafe { into.add(at).write(*value) };
    }
}

impl State {
    /// Asks the parent for `length` values.
    fn ask(&mut self, message: &Message, length: usize) -> Option<Vec<f64>> {
        if self.fault.is_some() {
            return None;
        }
        match message.write(&mut self.to).and_then(|()| read_answer(&mut self.from)) {
            Ok(values) => values.filter(|values| values.len() == length),
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }
}

/// # Safety
/// `into` has room for `length` values.
unsafe fn answer(state: &mut State, message: &Message, length: usize, into: *mut CNLP_Number) -> CNLP_Bool {
    match state.ask(message, length) {
        Some(values) => {
            // SAFETY: by the contract above.
            unsafe { write_vector(into, &values) };
            1
        }
        None => 0,
    }
}

// SAFETY of the callbacks below: the interface calls them within `cnlp_solve` with the pointer given there, and with
// vectors of the sizes that `sizes` has set.

unsafe extern "C" fn sizes(
    n: *mut CNLP_Index,
    m: *mut CNLP_Index,
    nnz_jacobian: *mut CNLP_Index,
    nnz_hessian: *mut CNLP_Index,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above.
    unsafe {
        let problem = &state(data).problem;
        n.write(problem.lower.len() as CNLP_Index);
        m.write(problem.row_lower.len() as CNLP_Index);
        nnz_jacobian.write(problem.jacobian.len() as CNLP_Index);
        nnz_hessian.write(problem.hessian.len() as CNLP_Index);
    }
    1
}

unsafe extern "C" fn start(
    _: CNLP_Index,
    init_x: CNLP_Bool,
    x: *mut CNLP_Number,
    init_z: CNLP_Bool,
    z_lower: *mut CNLP_Number,
    z_upper: *mut CNLP_Number,
    _: CNLP_Index,
    init_lambda: CNLP_Bool,
    lambda: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above; multipliers are empty unless the start is warm, and then have the sizes of their vectors.
    unsafe {
        let problem = &state(data).problem;
        if init_x != 0 {
            write_vector(x, &problem.start);
        }
        if init_z != 0 {
            write_vector(z_lower, &problem.lower_multipliers);
            write_vector(z_upper, &problem.upper_multipliers);
        }
        if init_lambda != 0 {
            write_vector(lambda, &problem.constraint_multipliers);
        }
    }
    1
}

unsafe extern "C" fn bounds(
    _: CNLP_Index,
    lower: *mut CNLP_Number,
    upper: *mut CNLP_Number,
    _: CNLP_Index,
    row_lower: *mut CNLP_Number,
    row_upper: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above.
    unsafe {
        let problem = &state(data).problem;
        write_vector(lower, &problem.lower);
        write_vector(upper, &problem.upper);
        write_vector(row_lower, &problem.row_lower);
        write_vector(row_upper, &problem.row_upper);
    }
    1
}

unsafe extern "C" fn objective(
    n: CNLP_Index,
    x: *const CNLP_Number,
    _: CNLP_Bool,
    value: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above.
    unsafe { answer(state(data), &Message::Objective(read_vector(x, n as usize)), 1, value) }
}

unsafe extern "C" fn gradient(
    n: CNLP_Index,
    x: *const CNLP_Number,
    _: CNLP_Bool,
    into: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above.
    unsafe { answer(state(data), &Message::Gradient(read_vector(x, n as usize)), n as usize, into) }
}

unsafe extern "C" fn constraints(
    n: CNLP_Index,
    x: *const CNLP_Number,
    _: CNLP_Bool,
    m: CNLP_Index,
    into: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above.
    unsafe { answer(state(data), &Message::Constraints(read_vector(x, n as usize)), m as usize, into) }
}

/// # Safety
/// Both vectors have room for the pattern.
unsafe fn write_pattern(pattern: &[(u32, u32)], rows: *mut CNLP_Index, columns: *mut CNLP_Index) {
    for (at, (row, column)) in pattern.iter().enumerate() {
        // SAFETY: by the contract above.
        unsafe {
            rows.add(at).write(*row as CNLP_Index);
            columns.add(at).write(*column as CNLP_Index);
        }
    }
}

unsafe extern "C" fn jacobian(
    n: CNLP_Index,
    x: *const CNLP_Number,
    _: CNLP_Bool,
    _: CNLP_Index,
    count: CNLP_Index,
    rows: *mut CNLP_Index,
    columns: *mut CNLP_Index,
    values: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above; `values` is null where the pattern is asked for.
    unsafe {
        let state = state(data);
        if values.is_null() {
            write_pattern(&state.problem.jacobian, rows, columns);
            return 1;
        }
        answer(state, &Message::Jacobian(read_vector(x, n as usize)), count as usize, values)
    }
}

unsafe extern "C" fn hessian(
    n: CNLP_Index,
    x: *const CNLP_Number,
    _: CNLP_Bool,
    factor: CNLP_Number,
    m: CNLP_Index,
    lambda: *const CNLP_Number,
    _: CNLP_Bool,
    count: CNLP_Index,
    rows: *mut CNLP_Index,
    columns: *mut CNLP_Index,
    values: *mut CNLP_Number,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above; `values` is null where the pattern is asked for.
    unsafe {
        let state = state(data);
        if values.is_null() {
            write_pattern(&state.problem.hessian, rows, columns);
            return 1;
        }
        let message = Message::Hessian(read_vector(x, n as usize), factor, read_vector(lambda, m as usize));
        answer(state, &message, count as usize, values)
    }
}

unsafe extern "C" fn intermediate(
    mode: CNLP_AlgorithmMode,
    iteration: CNLP_Index,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Number,
    _: CNLP_Index,
    data: CNLP_UserDataPtr,
) -> CNLP_Bool {
    // SAFETY: as above.
    let state = unsafe { state(data) };
    state.iterations = u64::try_from(iteration).unwrap_or(0);
    let is_restoring = mode == CNLP_AlgorithmMode_CNLP_RESTORATION_PHASE_MODE;
    state.restorations += u64::from(is_restoring && !state.is_restoring);
    state.is_restoring = is_restoring;
    state.timed_out = state.began.elapsed().as_secs_f64() > state.problem.seconds;
    CNLP_Bool::from(!state.timed_out && state.fault.is_none())
}
