"""The plan and what it was stepped down to: why this provider, precision, size, so many photos."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "set_by": {"en": "{what}: set by {key}", "zh": "{what}：由 {key} 设定"},
        "backend_without_file": {
            "en": "{backend}: the model has no file for device.backend {wanted}",
            "zh": "{backend}：模型没有 device.backend {wanted} 的文件",
        },
        "backend_of_provider": {
            "en": "{backend}: device.accelerator {wanted} is its provider",
            "zh": "{backend}：device.accelerator {wanted} 由它提供",
        },
        "gpu_not_used": {"en": "{name} is not used: {why}", "zh": "不使用 {name}：{why}"},
        "no_usable_gpu": {
            "en": "{provider}: no usable GPU found",
            "zh": "{provider}：没有可用的 GPU",
        },
        "runtime_lacks": {
            "en": "{provider}: {name} found, but the installed runtime has no {labels}",
            "zh": "{provider}：找到 {name}，但所装的运行库没有 {labels}",
        },
        "gpu_found": {
            "en": "{provider}: {name} found and the runtime has {label}",
            "zh": "{provider}：找到 {name}，运行库带有 {label}",
        },
        "precision_without_file": {
            "en": "{precision}: the model has no {wanted} file, device.precision is not used",
            "zh": "{precision}：模型没有 {wanted} 文件，不采用 device.precision",
        },
        "precision_not_used": {
            "en": "{precision} is not used: {why}",
            "zh": "不使用 {precision}：{why}",
        },
        "costs_quality": {
            "en": "{precision} by {who} costs quality here: {why}",
            "zh": "{who} 指定的 {precision} 在此会降低画质：{why}",
        },
        "only_file": {"en": "the model's only file", "zh": "模型唯一的文件"},
        "no_vnni": {
            "en": "this processor has no VNNI, without which sums of 8-bit products saturate",
            "zh": "此处理器没有 VNNI，8 位乘积之和会饱和",
        },
        "models_own_size": {
            "en": "the size the model was made for: no other is known to be good enough",
            "zh": "模型本来的尺寸：没有其他已知足够好的尺寸",
        },
        "size_fixed": {"en": "{size}: fixed by the model", "zh": "{size}：由模型固定"},
        "size_fixed_unused": {
            "en": "{size}: fixed by the model; device.resolution is not used",
            "zh": "{size}：由模型固定；不采用 device.resolution",
        },
        "size_set": {
            "en": "{size}: device.resolution, as a multiple of {multiple}",
            "zh": "{size}：device.resolution，取 {multiple} 的倍数",
        },
        "way_measured": {
            "en": "{way}: {quality}; measured here at {ms} ms a photo, {alone} ms alone: fastest "
            "of {n:way|ways} tried, among equals the better picture",
            "zh": "{way}：{quality}；本机实测每张 {ms} 毫秒，单独 {alone} 毫秒："
            "试过的 {n} 种方式中最快，相同时取画质更好者",
        },
        "way_least_work": {
            "en": "{way}: {quality}, the least work; not measured on this device",
            "zh": "{way}：{quality}，工作量最小；未在本设备上测量",
        },
        "way_only": {"en": "{way}: {quality}", "zh": "{way}：{quality}"},
        "quality_unknown": {"en": "quality not measured", "zh": "画质未测量"},
        "quality_iou": {"en": "IoU {iou}", "zh": "IoU {iou}"},
        "quality_floor": {"en": "IoU {iou}, floor {floor}", "zh": "IoU {iou}，下限 {floor}"},
        "in_flight": {
            "en": "{photos:photo|photos} in flight, {threads:session thread|session threads}: "
            "{cpus:usable processor|usable processors}",
            "zh": "同时处理 {photos} 张，{threads} 个推理线程：{cpus} 个可用处理器",
        },
        "in_flight_unmeasured": {
            "en": "{photos:photo|photos} in flight, {threads:session thread|session threads}, not "
            "measured: {cpus:usable processor|usable processors}",
            "zh": "同时处理 {photos} 张，{threads} 个推理线程，未测量：{cpus} 个可用处理器",
        },
        "batch_one": {
            "en": "batch 1: the engine gives the model one photo at a time{known}",
            "zh": "批量 1：引擎每次给模型一张照片{known}",
        },
        "batch_set": {
            "en": "batch at most {batch}, of photos that wait at the same time: device.batch"
            "{full}{known}",
            "zh": "批量最多 {batch}，取同时等待的照片：device.batch{full}{known}",
        },
        "batch_never_full": {
            "en": "; {photos:photo|photos} in flight never fill it",
            "zh": "；同时处理 {photos} 张，永远凑不满",
        },
        "batch_takes": {
            "en": "; n photos take {slope} n + {fixed} ms",
            "zh": "；n 张照片用时 {slope} n + {fixed} 毫秒",
        },
        "pixels_in_flight": {
            "en": "at most {megapixels} megapixels in flight: {why}; a larger photo runs alone",
            "zh": "同时最多 {megapixels} 百万像素：{why}；更大的照片单独处理",
        },
        "memory_share": {
            "en": "{share} of {all} MiB memory",
            "zh": "内存 {all} MiB 中的 {share} MiB",
        },
        "memory_left_by_others": {
            "en": "{share} MiB, four fifths of the memory that others leave",
            "zh": "{share} MiB，即其他程序留下的内存的五分之四",
        },
        "memory_least": {
            "en": "{share} MiB, the least that it can work with",
            "zh": "{share} MiB，能够工作的最低限度",
        },
        "memory_too_little": {
            "en": "this device has {all} MiB of memory, about {least} MiB are needed: it may be "
            "slow or fail",
            "zh": "本设备有 {all} MiB 内存，约需 {least} MiB：可能缓慢或失败",
        },
        # Steps down while it works.
        "lowered": {
            "en": "{what} {before} -> {after}: {cause}",
            "zh": "{what} {before} -> {after}：{cause}",
        },
        "lowered_because": {"en": "{step}: {why}", "zh": "{step}：{why}"},
        "several": {"en": "{first}; {rest}", "zh": "{first}；{rest}"},
        "plan_lowered": {"en": "the plan was lowered", "zh": "方案已降档"},
        "knob_workers": {"en": "workers", "zh": "同时处理数"},
        "knob_batch": {"en": "batch", "zh": "批量"},
        "knob_resolution": {"en": "resolution", "zh": "分辨率"},
        "knob_precision": {"en": "precision", "zh": "精度"},
        "knob_provider": {"en": "provider", "zh": "运行方式"},
        "cause_heat": {"en": "heat", "zh": "过热"},
        "cause_power": {"en": "power", "zh": "供电"},
        "cause_memory_pressure": {"en": "memory pressure", "zh": "内存压力"},
        "cause_out_of_memory": {"en": "out of memory", "zh": "内存不足"},
        "cause_wrong_result": {"en": "wrong result", "zh": "结果错误"},
        "cause_provider_lost": {"en": "provider lost", "zh": "加速器丢失"},
    }
)
