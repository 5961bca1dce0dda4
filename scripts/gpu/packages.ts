// The files of PyPI that make onnxruntime-node compute on NVIDIA GPUs: ONNX Runtime's CUDA provider of exactly that version, and the user-space libraries
// of CUDA 13.0 that it was built for. Sizes and SHA-256 are those of the files as they were published and read; nothing else is installed.

/** The version of onnxruntime-node that the provider fits. */
export const RUNTIME_VERSION = '1.30.0';

export interface WheelMember {
  /** Inside the wheel. */
  readonly path: string;
  /** The name beside the runtime. */
  readonly name: string;
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
  readonly members: readonly WheelMember[];
}

export const WHEELS: readonly Wheel[] = [
  {
    name: 'nvidia-cuda-runtime',
    version: '13.0.96',
    file: 'nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    bytes: 2_243_632,
    sha256: '7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548',
    members: [
      {
        path: 'nvidia/cu13/lib/libcudart.so.13',
        name: 'libcudart.so.13',
        bytes: 704_288,
        sha256: '96c42e418cec19054186b9429c321603cc190bf26a18104e19408117a2a817b0',
      },
    ],
  },
  {
    // cuBLASLt opens it when it has to compile a kernel.
    name: 'nvidia-cuda-nvrtc',
    version: '13.0.88',
    file: 'nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    bytes: 90_215_200,
    sha256: 'ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575',
    members: [
      {
        path: 'nvidia/cu13/lib/libnvrtc-builtins.so.13.0',
        name: 'libnvrtc-builtins.so.13.0',
        bytes: 4_380_616,
        sha256: '91dcd944d01da9c0f08fff5d779db136a47f6d62bdb63bae900d2f481e92c3a2',
      },
      {
        path: 'nvidia/cu13/lib/libnvrtc.so.13',
        name: 'libnvrtc.so.13',
        bytes: 109_338_064,
        sha256: 'a49e67e8e74590f1e98de55c39c6287efd3f59e3c3797464d7bbe0fe01349b11',
      },
    ],
  },
  {
    name: 'nvidia-cublas',
    version: '13.1.0.3',
    file: 'nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl',
    bytes: 423_133_236,
    sha256: 'ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171',
    members: [
      {
        path: 'nvidia/cu13/lib/libcublasLt.so.13',
        name: 'libcublasLt.so.13',
        bytes: 541_595_600,
        sha256: '656298c804f5adbb0df930545c17911b9584ab4e5101c0eeb65d1fe881d880f8',
      },
      {
        path: 'nvidia/cu13/lib/libcublas.so.13',
        name: 'libcublas.so.13',
        bytes: 54_177_976,
        sha256: 'e70f38efabe986acd5eb683497c62f0f1730a6176ee291d9d24c6e339d1fbf86',
      },
    ],
  },
  {
    name: 'nvidia-curand',
    version: '10.4.0.35',
    file: 'nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl',
    bytes: 59_544_258,
    sha256: '1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc',
    members: [
      {
        path: 'nvidia/cu13/lib/libcurand.so.10',
        name: 'libcurand.so.10',
        bytes: 132_698_328,
        sha256: 'b53732a66b302b11926e00f762e2c2ba67058347ff93cf4ae709de45e93e06da',
      },
    ],
  },
  {
    // The wheel of one Python version; Python itself is not needed.
    name: 'onnxruntime-gpu',
    version: RUNTIME_VERSION,
    file: 'onnxruntime_gpu-1.30.0-cp311-cp311-manylinux_2_28_x86_64.whl',
    bytes: 246_658_419,
    sha256: '4fbf0c5d7b5fb99266c2e8a802e3e64af68bdc383e0f3c7349b985f1087eedaa',
    members: [
      {
        path: 'onnxruntime/capi/libonnxruntime_providers_shared.so',
        name: 'libonnxruntime_providers_shared.so',
        bytes: 14_632,
        sha256: '086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d',
      },
      {
        path: 'onnxruntime/capi/libonnxruntime_providers_cuda.so',
        name: 'libonnxruntime_providers_cuda.so',
        bytes: 272_049_904,
        sha256: '9d7587acb137b31bf84e4d32dc444b969bb601d098b01395effcacfe4341e364',
      },
    ],
  },
];
