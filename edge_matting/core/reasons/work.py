"""Why the appliance does not work now, or not as it should: engine, ledger, the start."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "starting": {"en": "it is starting", "zh": "正在启动"},
        "pause_not_kept": {
            "en": "pause or resume cannot be kept for a restart: {why}",
            "zh": "暂停或继续的状态无法保留到重新启动之后：{why}",
        },
        "model_loading": {"en": "the model is being loaded", "zh": "正在加载模型"},
        "model_unusable": {
            "en": "the model cannot be used: {why}",
            "zh": "模型无法使用：{why}",
        },
        "session_refused": {
            "en": "the model cannot be loaded: {why}",
            "zh": "模型无法加载：{why}",
        },
        "engine_restarting": {
            "en": "the engine is being restarted",
            "zh": "引擎正在重新启动",
        },
        "engine_cannot_start": {
            "en": "the engine cannot start; see the log",
            "zh": "引擎无法启动；请看日志",
        },
        "engine_lost": {
            "en": "the engine was lost and is being restarted",
            "zh": "引擎丢失，正在重新启动",
        },
        "engine_killed": {
            "en": "the engine was ended by {signal} and is being restarted",
            "zh": "引擎被 {signal} 终止，正在重新启动",
        },
        "engine_out_of_memory": {
            "en": "the engine was ended by the kernel for want of memory and is being restarted",
            "zh": "引擎因内存不足被内核终止，正在重新启动",
        },
        "engine_ended": {
            "en": "the engine ended with status {status} and is being restarted",
            "zh": "引擎以状态 {status} 退出，正在重新启动",
        },
        "engine_held": {
            "en": "the engine was held by SIGSTOP and is being replaced",
            "zh": "引擎被 SIGSTOP 暂停，正在更换",
        },
        "engine_stalled": {
            "en": "the engine was without progress and is being replaced",
            "zh": "引擎没有进展，正在更换",
        },
        "engine_replaced": {
            "en": "the engine was replaced {n:time|times} without progress",
            "zh": "引擎已更换 {n} 次，仍无进展",
        },
        "engines_end": {
            "en": "{n:engine|engines} in a row ended without finishing a photo: {why}",
            "zh": "连续 {n} 个引擎未完成任何照片就退出：{why}",
        },
        "engine_not_started": {
            "en": "the engine cannot be started: {why}; it is tried again",
            "zh": "引擎无法启动：{why}；会再次尝试",
        },
        "engine_of_several": {"en": "engine {number}: {why}", "zh": "引擎 {number}：{why}"},
        "loop_stalled": {
            "en": "the main loop has not moved for {seconds} s",
            "zh": "主循环已停顿 {seconds} 秒",
        },
        "jobs_not_handed_back": {
            "en": "what was being processed cannot be put back in the queue yet: {why}",
            "zh": "处理中的照片暂时无法放回队列：{why}",
        },
        "provider_missing": {
            "en": "{wanted} was asked for, {actual} is in use: {why}",
            "zh": "要求使用 {wanted}，实际使用 {actual}：{why}",
        },
        "accelerator_missing": {"en": "the accelerator is missing", "zh": "缺少加速器"},
        "self_test_failed": {
            "en": "the self-test failed: {why}",
            "zh": "自检失败：{why}",
        },
        "job_source_unusable": {
            "en": "no jobs can be had: {why}",
            "zh": "无法取得任务：{why}",
        },
        "ledger_unusable": {
            "en": "the ledger cannot be used now: {why}",
            "zh": "账本现在无法使用：{why}",
        },
        "ledger_rebuilt": {
            "en": "the ledger was damaged and is kept as {kept}; a new one was built from the "
            "folders",
            "zh": "账本曾损坏，已保存为 {kept}；新的账本已根据文件夹重建",
        },
        "hint_ledger_corrupt": {
            "en": "it is set aside, and a new one is built from the folders",
            "zh": "它会被保存，并根据文件夹重建新的账本",
        },
        "hint_self_test": {
            "en": "check the driver and the runtime: edge-matting doctor",
            "zh": "请检查驱动和运行库：edge-matting doctor",
        },
        "with_hint": {"en": "{what} ({hint})", "zh": "{what}（{hint}）"},
    }
)
