"""The device: what was found, what is not used and why, what its readings say."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "no_gpu": {"en": "no NVIDIA GPU found", "zh": "未找到 NVIDIA GPU"},
        "gpu_problem": {"en": "{name}: {why}", "zh": "{name}：{why}"},
        "card_on_bus": {
            "en": "an NVIDIA card is built in; {why}",
            "zh": "装有 NVIDIA 显卡；{why}",
        },
        "gpu_split": {
            "en": "the GPU is split (MIG): only its first instance is used",
            "zh": "GPU 已分割（MIG）：只使用第一个实例",
        },
        "jetson_unknown": {
            "en": "a Jetson of an unknown chip: its GPU is not used",
            "zh": "未知芯片的 Jetson：不使用其 GPU",
        },
        "jetson_release_unknown": {
            "en": "the Jetson Linux release is not known (no /etc/nv_tegra_release)",
            "zh": "Jetson Linux 版本未知（没有 /etc/nv_tegra_release）",
        },
        "power_mode_unknown": {
            "en": "the power mode is not known (/var/lib/nvpmodel/status, /etc/nvpmodel.conf)",
            "zh": "功率模式未知（/var/lib/nvpmodel/status、/etc/nvpmodel.conf）",
        },
        "devfreq_missing": {
            "en": "the GPU's devfreq node is not there yet: no clock limit",
            "zh": "GPU 的 devfreq 节点尚不存在：没有频率上限",
        },
        "jetpack_too_old": {
            "en": "JetPack {jetpack} (R{release}): its GPU is not supported, for its GPU runtimes "
            "need Python 3.8. Photos are processed by the processor; for the GPU, install "
            "JetPack 6 or newer",
            "zh": "JetPack {jetpack}（R{release}）：不支持其 GPU，因为其 GPU 运行库需要 "
            "Python 3.8。照片由处理器处理；要使用 GPU，请安装 JetPack 6 或更新版本",
        },
        "gpu_driver_dead": {
            "en": "the GPU driver did not start (/{path} is missing): restart the board",
            "zh": "GPU 驱动未启动（缺少 /{path}）：请重新启动主板",
        },
        # What readings say of heat, power and memory.
        "slowed_down": {
            "en": "the device slows itself down: {words}",
            "zh": "设备正在自行降速：{words}",
        },
        "headroom": {
            "en": "{celsius} °C below the point where it slows itself down",
            "zh": "比自行降速的温度低 {celsius} °C",
        },
        "no_slowdown": {"en": "no slowdown", "zh": "没有降速"},
        "memory_stalled": {
            "en": "all tasks waited for memory {percent} % of the time",
            "zh": "所有任务有 {percent} % 的时间在等待内存",
        },
        "memory_left": {
            "en": "{megabytes} MiB of memory available",
            "zh": "可用内存 {megabytes} MiB",
        },
        "memory_flows": {"en": "no stall", "zh": "没有停顿"},
        "gpu_answers": {"en": "the GPU answers", "zh": "GPU 有应答"},
        "at_ease": {"en": "at ease for {seconds} s", "zh": "已平稳 {seconds} 秒"},
        "gpu_lost_again": {
            "en": "it was lost {n:time|times} in a row: {why}",
            "zh": "连续丢失 {n} 次：{why}",
        },
        # Runtimes.
        "no_runtime": {
            "en": "no onnxruntime is installed; install one: pip install edge-matting[cpu]",
            "zh": "未安装 onnxruntime；请安装：pip install edge-matting[cpu]",
        },
        "two_runtimes": {
            "en": "{names} are both installed and overwrite each other; uninstall all of them, "
            "then install one",
            "zh": "同时安装了 {names}，它们会互相覆盖；请全部卸载，再安装其中一个",
        },
        "runtime_without_provider": {
            "en": "the installed {runtime} ({wheel}) is built without {provider}; with an NVIDIA "
            "card on x86-64: pip uninstall onnxruntime, then pip install edge-matting[gpu]; a "
            "Jetson needs NVIDIA's own wheel",
            "zh": "所装的 {runtime}（{wheel}）不含 {provider}；x86-64 上有 NVIDIA 显卡时："
            "先 pip uninstall onnxruntime，再 pip install edge-matting[gpu]；"
            "Jetson 需要 NVIDIA 自己的安装包",
        },
        "provider_did_not_start": {
            "en": "{runtime} could not start {provider}: {why}",
            "zh": "{runtime} 无法启动 {provider}：{why}",
        },
        "provider_did_not_start_unknown": {
            "en": "{runtime} could not start {provider}, although its libraries and the driver "
            "load: the card may be too old for this build, or its memory in use",
            "zh": "{runtime} 无法启动 {provider}，尽管库和驱动都能加载：显卡对这个版本可能太旧，"
            "或显存已被占用",
        },
        "nodes_on_cpu": {
            "en": "{on_cpu} of {total} nodes run on the processor, not on {actual}",
            "zh": "{total} 个节点中有 {on_cpu} 个在处理器上运行，而不在 {actual} 上",
        },
        "slower_than_cpu": {
            "en": "{actual} takes {ms} ms for one picture, the processor alone {cpu_ms} ms",
            "zh": "{actual} 处理一张照片需 {ms} 毫秒，单用处理器需 {cpu_ms} 毫秒",
        },
    }
)
