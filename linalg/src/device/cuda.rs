//! CUDA, looked for when the program runs: nothing of it is needed to build or to start.
//!
//! One context, one stream: steps run in the order in which they are asked for, and reading waits for them. Products are those
//! of cuBLAS in full single precision; the kernels are compiled for the device at hand, without contraction to fused
//! operations, so that they compute what the reference does.

#![allow(unsafe_code)]

use super::launch::{Argument, KERNELS, Launcher, NAMES, THREADS};
use super::{DeviceError, Done, Extents, Memory, Sum};
use cudarc::cublas::sys::{cublasMath_t, cublasOperation_t, cublasSetMathMode};
use cudarc::cublas::{CudaBlas, Gemm, GemmConfig};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtrMut, DeviceRepr, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

/// The first CUDA device.
pub struct Cuda {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    kernels: HashMap<&'static str, CudaFunction>,
    name: String,
}

/// A buffer that is never empty, for the driver has no empty ones, and how much of it counts.
pub struct Buffer<T> {
    slice: CudaSlice<T>,
    len: usize,
}

fn failed(error: impl Debug) -> DeviceError {
    DeviceError::Failed { reason: format!("{error:?}") }
}

impl Cuda {
    /// Whether the driver is installed; says nothing about a device, and takes no time.
    pub fn is_likely() -> bool {
        // SAFETY: loading the driver's library runs its initialisers and nothing else; they need nothing of this program.
        unsafe { cudarc::driver::sys::is_culib_present() }
    }

    /// Opens the first device.
    ///
    /// # Errors
    /// A library is missing, no device answers, or the kernels do not compile for it.
    pub fn open() -> Result<Self, DeviceError> {
        // SAFETY: as above, for the libraries that come with CUDA. Calling into a library that is missing would panic.
        let present = unsafe {
            [
                ("libcuda", cudarc::driver::sys::is_culib_present()),
                ("libnvrtc", cudarc::nvrtc::sys::is_culib_present()),
                ("libcublas", cudarc::cublas::sys::is_culib_present()),
            ]
        };
        if let Some((library, _)) = present.into_iter().find(|(_, there)| !there) {
            return Err(DeviceError::NoLibrary { library });
        }
        let absent = |error: cudarc::driver::DriverError| DeviceError::NoDevice { reason: format!("{error:?}") };
        let context = CudaContext::new(0).map_err(absent)?;
        let name = context.name().map_err(absent)?;
        let (major, minor) = context.compute_capability().map_err(absent)?;
        let refused = |reason: String| DeviceError::Kernels { reason };
        let options = CompileOptions {
            fmad: Some(false),
            options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
            ..CompileOptions::default()
        };
        // A compiler older than the device knows no name for it; what it compiles by default runs there too.
        let plain = || CompileOptions { fmad: Some(false), ..CompileOptions::default() };
        let compiled = compile_ptx_with_opts(KERNELS, options).or_else(|_| compile_ptx_with_opts(KERNELS, plain()));
        let compiled = compiled.map_err(|error| refused(error.to_string()))?;
        let module = context.load_module(compiled).map_err(|error| refused(format!("{error:?}")))?;
        let load = |name: &'static str| Ok((name, module.load_function(name).map_err(|e| refused(format!("{e:?}")))?));
        let kernels = NAMES.into_iter().map(load).collect::<Result<_, DeviceError>>()?;
        let stream = context.new_stream().map_err(failed)?;
        let blas = CudaBlas::new(stream.clone()).map_err(failed)?;
        // SAFETY: the handle is alive. Pedantic: no product is taken in a narrower type, whatever the environment says.
        unsafe { cublasSetMathMode(*blas.handle(), cublasMath_t::CUBLAS_PEDANTIC_MATH) }.result().map_err(failed)?;
        Ok(Self { context, stream, blas, kernels, name: format!("cuda ({name})") })
    }

    fn upload<T: DeviceRepr + Copy + Default>(&self, data: &[T]) -> Result<Buffer<T>, DeviceError> {
        let placeholder = [T::default()];
        let slice = self.stream.clone_htod(if data.is_empty() { &placeholder[..] } else { data });
        Ok(Buffer { slice: slice.map_err(failed)?, len: data.len() })
    }
}

impl Memory for Cuda {
    type Floats = Buffer<f32>;
    type Words = Buffer<u32>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn floats(&self, data: &[f32]) -> Result<Buffer<f32>, DeviceError> {
        self.upload(data)
    }

    fn words(&self, data: &[u32]) -> Result<Buffer<u32>, DeviceError> {
        self.upload(data)
    }

    fn poisoned(&self, len: usize) -> Result<Buffer<f32>, DeviceError> {
        // SAFETY: the memory is written below, before anything can read it.
        let mut slice: CudaSlice<f32> = unsafe { self.stream.alloc(len.max(1)) }.map_err(failed)?;
        self.context.bind_to_thread().map_err(failed)?;
        {
            let bytes = len.max(1) * size_of::<f32>();
            let (pointer, _written) = slice.device_ptr_mut(&self.stream);
            // SAFETY: so many bytes were allocated there, on this stream. Every bit set is a NaN.
            unsafe { cudarc::driver::result::memset_d8_async(pointer, 0xff, bytes, self.stream.cu_stream()) }
                .map_err(failed)?;
        }
        Ok(Buffer { slice, len })
    }

    fn len(&self, buffer: &Buffer<f32>) -> usize {
        buffer.len
    }

    fn read(&self, buffer: &Buffer<f32>) -> Result<Vec<f32>, DeviceError> {
        let mut data = self.stream.clone_dtoh(&buffer.slice).map_err(failed)?;
        self.stream.synchronize().map_err(failed)?;
        data.truncate(buffer.len);
        Ok(data)
    }

    #[track_caller]
    fn copy(&self, to: &mut Buffer<f32>, from: &Buffer<f32>) -> Done {
        assert_eq!(to.len, from.len, "a buffer of another length");
        self.stream.memcpy_dtod(&from.slice, &mut to.slice).map_err(failed)
    }

    #[track_caller]
    fn gemm(
        &self,
        c: &mut Buffer<f32>,
        a: &Buffer<f32>,
        b: &Buffer<f32>,
        Extents { m, n, k }: Extents,
        transposed: bool,
        sum: Sum,
    ) -> Done {
        assert_eq!((c.len, a.len, b.len), (m * n, m * k, k * n), "buffers of other lengths");
        if m == 0 || n == 0 {
            return Ok(());
        }
        let int = |extent: usize| i32::try_from(extent).map_err(failed);
        let how = if transposed { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N };
        // cuBLAS reads columns: row by row, C = A B is its Cᵀ = Bᵀ Aᵀ.
        let config = GemmConfig {
            transa: how,
            transb: cublasOperation_t::CUBLAS_OP_N,
            m: int(n)?,
            n: int(m)?,
            k: int(k)?,
            alpha: 1.0,
            lda: int(if transposed { k } else { n }.max(1))?,
            ldb: int(k.max(1))?,
            beta: if sum == Sum::Add { 1.0 } else { 0.0 },
            ldc: int(n)?,
        };
        self.context.bind_to_thread().map_err(failed)?;
        // SAFETY: the three buffers have the lengths that the extents say.
        unsafe { self.blas.gemm(config, &b.slice, &a.slice, &mut c.slice) }.map_err(failed)
    }
}

impl Launcher for Cuda {
    fn launch(&self, kernel: &'static str, blocks: usize, mut arguments: Vec<Argument<'_, Self>>) -> Done {
        if blocks == 0 {
            return Ok(());
        }
        let grid = (u32::try_from(blocks).map_err(failed)?, 1, 1);
        let config = LaunchConfig { grid_dim: grid, block_dim: (THREADS as u32, 1, 1), shared_mem_bytes: 0 };
        let mut launch = self.stream.launch_builder(&self.kernels[kernel]);
        for argument in &mut arguments {
            match argument {
                Argument::In(buffer) => launch.arg(&buffer.slice),
                Argument::Out(buffer) => launch.arg(&mut buffer.slice),
                Argument::Words(buffer) => launch.arg(&buffer.slice),
                Argument::Count(count) => launch.arg(&*count),
                Argument::Real(real) => launch.arg(&*real),
            };
        }
        // SAFETY: the arguments are those of the kernel and in its order, and the buffers as long as it is told: `launch.rs`
        // checks the lengths, and its tests run the same launches on the processor.
        unsafe { launch.launch(config) }.map_err(failed)?;
        Ok(())
    }
}
