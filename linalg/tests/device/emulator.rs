//! The kernels compiled for the processor, as a device: everything of CUDA but CUDA.

use secateur_linalg::device::launch::{Argument, Launcher, THREADS};
use secateur_linalg::device::{DeviceError, Done, Extents, Memory, Reference, Sum};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// A process that runs kernels.
pub struct Emulator {
    process: Child,
    pipes: Mutex<Option<(BufWriter<ChildStdin>, BufReader<ChildStdout>)>>,
}

impl Emulator {
    /// Compiles the kernels; `None`, with a note, where there is no compiler for it.
    pub fn start() -> Option<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
        let flags = ["-std=c++20", "-O1", "-ffp-contract=off", "-pthread"];
        let compiled = Command::new("c++")
            .args(flags)
            .arg("-I")
            .arg(sources.join("src/device"))
            .arg(sources.join("tests/device/shim.cpp"))
            .arg("-o")
            .arg(&program)
            .status();
        let Ok(status) = compiled else {
            println!("no c++ on the path: the kernels were not run");
            return None;
        };
        if !status.success() && !has_barriers() {
            println!("c++ knows no std::barrier: the kernels were not run");
            return None;
        }
        assert!(status.success(), "the kernels do not compile as C++");
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program that was compiled here starts");
        let (input, output) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        Some(Self { process, pipes: Mutex::new(Some((BufWriter::new(input), BufReader::new(output)))) })
    }
}

/// Whether the compiler knows what the shim needs of C++20.
fn has_barriers() -> bool {
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++20", "-fsyntax-only", "-x", "c++", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut process) = compiler.spawn() else { return false };
    if let Some(mut input) = process.stdin.take() {
        let text = b"#include <barrier>\nstd::barrier<> fence(1);\n";
        input.write_all(text).expect("a compiler reads its input");
    }
    process.wait().is_ok_and(|status| status.success())
}

impl Drop for Emulator {
    fn drop(&mut self) {
        *self.pipes.lock().expect("no launch panicked") = None;
        let _ = self.process.wait();
    }
}

impl Memory for Emulator {
    type Floats = Vec<f32>;
    type Words = Vec<u32>;

    fn name(&self) -> String {
        "emulator".to_owned()
    }

    fn floats(&self, data: &[f32]) -> Result<Vec<f32>, DeviceError> {
        Ok(data.to_vec())
    }

    fn words(&self, data: &[u32]) -> Result<Vec<u32>, DeviceError> {
        Ok(data.to_vec())
    }

    fn poisoned(&self, len: usize) -> Result<Vec<f32>, DeviceError> {
        Reference.poisoned(len)
    }

    fn len(&self, buffer: &Vec<f32>) -> usize {
        buffer.len()
    }

    fn read(&self, buffer: &Vec<f32>) -> Result<Vec<f32>, DeviceError> {
        Ok(buffer.clone())
    }

    fn copy(&self, to: &mut Vec<f32>, from: &Vec<f32>) -> Done {
        Reference.copy(to, from)
    }

    fn gemm(&self, c: &mut Vec<f32>, a: &Vec<f32>, b: &Vec<f32>, extents: Extents, transposed: bool, sum: Sum) -> Done {
        Reference.gemm(c, a, b, extents, transposed, sum)
    }
}

impl Launcher for Emulator {
    fn launch(&self, kernel: &'static str, blocks: usize, mut arguments: Vec<Argument<'_, Self>>) -> Done {
        let mut pipes = self.pipes.lock().expect("no launch panicked");
        let (input, output) = pipes.as_mut().expect("the process runs");
        input.write_all(&(kernel.len() as u32).to_ne_bytes()).expect("the process reads");
        input.write_all(kernel.as_bytes()).expect("the process reads");
        let mut word = |w: u32| input.write_all(&w.to_ne_bytes()).expect("the process reads");
        word(blocks as u32);
        word(THREADS as u32);
        for argument in &arguments {
            let floats = match argument {
                Argument::In(buffer) => *buffer,
                Argument::Out(buffer) => &**buffer,
                Argument::Words(buffer) => {
                    word(buffer.len() as u32);
                    buffer.iter().for_each(|w| word(*w));
                    continue;
                }
                Argument::Count(count) => {
                    word(*count);
                    continue;
                }
                Argument::Real(real) => {
                    word(real.to_bits());
                    continue;
                }
            };
            word(floats.len() as u32);
            floats.iter().for_each(|f| word(f.to_bits()));
        }
        input.flush().expect("the process reads");
        for argument in &mut arguments {
            if let Argument::Out(buffer) = argument {
                for value in buffer.iter_mut() {
                    let mut bytes = [0; 4];
                    output
                        .read_exact(&mut bytes)
                        .expect("the kernel came to its end and wrote nothing beside its buffers");
                    *value = f32::from_ne_bytes(bytes);
                }
            }
        }
        Ok(())
    }
}
