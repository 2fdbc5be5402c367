"""What the appliance says itself (reasons, notes, the plan), by its English words.

The log, the API and the page share these sentences; they are made where something happens and
carry values, so the English sentence is its own key, as in gettext. ``{name}`` stands for any
value and ``(s)`` for an s that may be there. A sentence that is not here is shown in English:
what drivers, runtimes and the operating system say is not ours to translate.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

IN_CHINESE: Final = MappingProxyType(
    {
        # Why it does not work now.
        "it is starting": "正在启动",
        "the model is being loaded": "正在加载模型",
        "the engine is being restarted": "引擎正在重新启动",
        "the engine cannot start; see the log": "引擎无法启动；请看日志",
        "the engine was lost and is being restarted": "引擎丢失，正在重新启动",
        "the engine was ended by {signal} and is being restarted": "引擎被 {signal} "
        "终止，正在重新启动",
        "the engine ended with status {status} and is being restarted": "引擎以状态 {status} "
        "退出，正在重新启动",
        "the engine was held by SIGSTOP and is being replaced": "引擎被 SIGSTOP 暂停，正在更换",
        "the engine was without progress and is being replaced": "引擎没有进展，正在更换",
        "the engine was replaced {n} times without progress": "引擎已更换 {n} 次，仍无进展",
        "the main loop has not moved for {n} s": "主循环已停顿 {n} 秒",
        "engine {number}: {why}": "引擎 {number}：{why}",
        "what was in work cannot be handed back yet: {why}": "处理中的照片暂时无法放回队列：{why}",
        "{wanted} was asked for, {actual} is in use: {why}": "要求使用 {wanted}，"
        "实际使用 {actual}：{why}",
        "the accelerator is missing": "缺少加速器",
        # Folders.
        "{path} is not there; mount it or make it again": "{path} 不存在；请挂载或重新建立",
        "{path} cannot be read; give the service's user the right to": "{path} 无法读取；"
        "请给服务用户读取权限",
        "{path} cannot be written to; it is read-only or belongs to another user": "{path} "
        "无法写入；它是只读的，或属于其他用户",
        "{path} has {free} MB free, limits.min_free_mb asks for {asked}; "
        "make room, work goes on by itself": "{path} 剩余 {free} MB，limits.min_free_mb "
        "要求 {asked} MB；请腾出空间，之后会自动继续",
        "{path} cannot be looked into: {why}; what lies there is not taken": "{path} "
        "无法查看：{why}；其中的照片不会被处理",
        "native events (inotify)": "系统事件（inotify）",
        "polling every {n} s: {why}": "每 {n} 秒查看一次：{why}",
        "set by intake.watch": "由 intake.watch 设定",
        "{path} is on {kind}, where changes by other machines raise no events": "{path} 位于 "
        "{kind}，其他机器的改动不会产生事件",
        "not watched": "未监视",
        # The device.
        "no NVIDIA GPU found": "未找到 NVIDIA GPU",
        "an NVIDIA card is built in; {why}": "装有 NVIDIA 显卡；{why}",
        "the GPU is split (MIG): only its first instance is used": "GPU 已分割（MIG）："
        "只使用第一个实例",
        "a Jetson of an unknown chip: its GPU is not used": "未知芯片的 Jetson：不使用其 GPU",
        # The plan.
        "cpu: no usable GPU found": "cpu：没有可用的 GPU",
        "cpu: {name} found, but the installed runtime has no CUDA": "cpu：找到 {name}，"
        "但所装的运行库没有 CUDA",
        "cuda: {name} found and the runtime has CUDA": "cuda：找到 {name}，运行库带有 CUDA",
        "{what}: set by device.{key}": "{what}：由 device.{key} 设定",
        "{name} is not used: {why}": "不使用 {name}：{why}",
        "int8 by {who} costs quality here: {why}": "{who} 指定的 int8 在此会降低画质：{why}",
        "this processor has no VNNI, without which sums of 8-bit products "
        "saturate": "此处理器没有 VNNI，8 位乘积之和会饱和",
        "the size the model was made for: no other is known to be good enough": "模型本来的尺寸："
        "没有其他已知足够好的尺寸",
        "{size}: fixed by the model": "{size}：由模型固定",
        "{way}: IoU {iou}, floor {floor}, the least work; not measured on this device": "{way}："
        "IoU {iou}，下限 {floor}，工作量最小；未在本设备上测量",
        "{way}: IoU {iou}, floor {floor}; measured here at {ms} ms a photo, {alone} ms alone: "
        "fastest of {n} ways tried, among equals the better picture": "{way}：IoU {iou}，下限 "
        "{floor}；本机实测每张 {ms} 毫秒，单独 {alone} 毫秒：试过的 {n} 种方式中最快，"
        "相同时取画质更好者",
        "{way}: quality not measured": "{way}：画质未测量",
        "{way}: IoU {iou}, floor {floor}": "{way}：IoU {iou}，下限 {floor}",
        "{n} photo(s) in flight, {m} session thread(s), not measured: {p} usable "
        "processor(s)": "同时处理 {n} 张，{m} 个推理线程，未测量：{p} 个可用处理器",
        "{n} photo(s) in flight, {m} session thread(s): {p} usable "
        "processor(s)": "同时处理 {n} 张，{m} 个推理线程：{p} 个可用处理器",
        "at most {n} megapixels in flight: {why}; a larger photo runs alone": "同时最多 {n} "
        "百万像素：{why}；更大的照片单独处理",
        "{share} of {all} MiB memory": "内存 {all} MiB 中的 {share} MiB",
        "{share} MiB, four fifths of the memory that others leave": "{share} MiB，"
        "即其他程序留下的内存的五分之四",
        "{share} MiB, the least that it can work with": "{share} MiB，能够工作的最低限度",
    }
)
