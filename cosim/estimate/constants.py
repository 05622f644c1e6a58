"""What the estimate takes as given, each with its source. None is tuned to a single case.

MATMUL_EFFICIENCY is the one fitted number: for each precision the part of the dense peak at which the estimate meets
published throughputs on average (tests/validation/estimate/estimate_published.py); none of these is judged on.
"""

from __future__ import annotations

MATMUL_EFFICIENCY = {"bf16": 0.565, "fp8": 0.46}
"""Part of the dense peak in the compute-bound part of a step. [1]"""
MEMORY_EFFICIENCY = 0.6
"""Part of the memory's bandwidth that decoding reaches (Databricks, LLM Inference Performance Engineering, 2023:
model bandwidth utilization of 60 % on H100 and 55 % on A100 at batch 1). [1]"""
LINK_EFFICIENCY = 0.8
"""Part of a link's bandwidth that large collectives reach (NVIDIA's nccl-tests on H100: bus bandwidth of 360 to 370
GB/s of 450 over NVLink). [1]"""
ALL_REDUCE_LATENCY_S = 10e-6
"""Of one small all-reduce within a server; a usual figure of NCCL over NVLink. [s]"""

BYTES = {"bf16": 2, "fp8": 1}
"""Of one weight at inference. Training keeps weights in BF16 whatever the matmuls use. [B]"""
WEIGHT_BYTES, GRADIENT_BYTES, OPTIMIZER_BYTES = 2, 2, 12
"""For each parameter in mixed-precision training with Adam (Rajbhandari et al., ZeRO, SC 2020, section 3.1). [B]"""
ACTIVATION_BYTES = 34
"""For each token, layer and hidden unit, without attention scores (Korthikanti et al., MLSys 2023, Eq. 1 and section
4). [B]"""
FROZEN_INPUT_BYTES = 14
"""Of these, inputs of the linear layers, which frozen weights need not keep (2 + 2 + 2 + 8, the same). [B]"""
RECOMPUTED_BYTES = 2
"""With full recomputation only a layer's input is kept (the same). [B]"""
SCORE_BYTES = 5
"""For each head and pair of tokens, where attention is not fused: scores, softmax, dropout (the same). [B]"""
LOGIT_BYTES = 6
"""For each token and word of the vocabulary in training: BF16 and FP32 copies. [B]"""
ADAPTER_RANK, ADAPTER_MATRICES = 16, 8
"""LoRA: rank 16 on the attention's projections, each two matrices of hidden size (MLPerf Training v4.0). [1]"""
STATE_SIZE, CONVOLUTION = 16, 4
"""State and convolution of a Mamba, for each of 2 x hidden size channels (Gu and Dao, 2023, section 3). [1]"""
CACHE_USE = {"paged": 0.963, "contiguous": 0.204}
"""Part of the reserved key-value memory that holds tokens (Kwon et al., SOSP 2023, Fig. 2: vLLM, Orca (Max)). [1]"""
USABLE_MEMORY = 0.9
"""Part of the memory a framework takes (default of vLLM's gpu_memory_utilization and of Accelerate). [1]"""

IDLE_SHARE = 0.14
"""Idle over largest power where the catalog has no idle power: 100 of 700 W, assumed. [1]"""
COMMUNICATION_SHARE = 0.5
"""Power while accelerators wait for a collective, over the largest (Patel et al., ASPLOS 2024, section 4: troughs of
training at 75 % of TDP for RoBERTa, 50 % for GPT-NeoX, 20 % for Flan-T5; the decoder's is taken). [1]"""
MEMORY_BOUND_SHARE = 0.5
"""Power while bound by memory, over the largest (Patel et al., Splitwise, ISCA 2024: token generation does not slow
down under a power cap of half of TDP). [1]"""
CPU_W_PER_ACCELERATOR = 2 * 300 / 8
"""Two CPUs for eight accelerators, middle of the paper's Table I (200 to 400 W). [W]"""
MEMORY_W = 55.0
"""HBM of one accelerator at work, middle of Table I (30 to 80 W); a part of the accelerator's power. [W]"""
COOLING_SHARE = 0.15
"""Fans of the server over its whole power, middle of Table I (10 to 20 %). [1]"""
SUPPLY_EFFICIENCY = 0.93
"""Of server power supplies, middle of Table I (90 to 96 %). [1]"""
TYPICAL_DOMAIN, TYPICAL_NETWORK_GB_PER_S = 8, 50.0
"""Accelerators that share the fast link, and the network of each to other servers, where no server is named: an HGX
board with 400 Gbit/s each. [1, GB/s]"""
