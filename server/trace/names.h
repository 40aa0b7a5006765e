// Names of attributes: OpenTelemetry's semantic conventions, and ours under `millrace.`. The conventions for generative
// AI have no stable release yet and rename things, so these are those of version 1.41.1; the schema URL says so.
#pragma once

namespace millrace::trace {

inline constexpr char kSchemaUrl[] = "https://opentelemetry.io/schemas/1.41.1";

inline constexpr char kErrorType[] = "error.type";
inline constexpr char kServerAddress[] = "server.address";
inline constexpr char kServerPort[] = "server.port";
inline constexpr char kHttpStatus[] = "http.response.status_code";

// Generative AI.
inline constexpr char kGenAiOperation[] = "gen_ai.operation.name";
inline constexpr char kGenAiProvider[] = "gen_ai.provider.name";
inline constexpr char kGenAiRequestModel[] = "gen_ai.request.model";
inline constexpr char kGenAiMaxTokens[] = "gen_ai.request.max_tokens";
inline constexpr char kGenAiTemperature[] = "gen_ai.request.temperature";
inline constexpr char kGenAiOutputType[] = "gen_ai.output.type";
inline constexpr char kGenAiResponseModel[] = "gen_ai.response.model";
inline constexpr char kGenAiFinishReasons[] = "gen_ai.response.finish_reasons";
inline constexpr char kGenAiInputTokens[] = "gen_ai.usage.input_tokens";
inline constexpr char kGenAiOutputTokens[] = "gen_ai.usage.output_tokens";
// Recorded only if the configuration asks for it.
inline constexpr char kGenAiInputMessages[] = "gen_ai.input.messages";
inline constexpr char kGenAiOutputMessages[] = "gen_ai.output.messages";

// RPC.
inline constexpr char kRpcSystem[] = "rpc.system.name";
inline constexpr char kRpcMethod[] = "rpc.method";
inline constexpr char kRpcStatus[] = "rpc.response.status_code";

// Ours.
inline constexpr char kRun[] = "millrace.run";
inline constexpr char kPipeline[] = "millrace.pipeline";
inline constexpr char kGeneration[] = "millrace.generation";
inline constexpr char kRunState[] = "millrace.run.state";
inline constexpr char kStage[] = "millrace.stage";
inline constexpr char kStageKind[] = "millrace.stage.kind";
inline constexpr char kItem[] = "millrace.item.id";
inline constexpr char kItemState[] = "millrace.item.state";
inline constexpr char kItemOrdinal[] = "millrace.item.ordinal";
inline constexpr char kItems[] = "millrace.items";
inline constexpr char kItemsOk[] = "millrace.items.ok";
inline constexpr char kItemsFailed[] = "millrace.items.failed";
inline constexpr char kMemoHit[] = "millrace.memo.hit";
inline constexpr char kMemoHits[] = "millrace.memo.hits";
inline constexpr char kFirstOrdinal[] = "millrace.batch.first_ordinal";
inline constexpr char kBatchesWithoutSpan[] = "millrace.batches_without_span";
inline constexpr char kModel[] = "millrace.model";
inline constexpr char kBackend[] = "millrace.backend";
inline constexpr char kCallKey[] = "millrace.call.key";
inline constexpr char kCacheHit[] = "millrace.cache.hit";
inline constexpr char kCoalesced[] = "millrace.call.coalesced";
inline constexpr char kStopped[] = "millrace.stopped";
inline constexpr char kAttempts[] = "millrace.attempts";
inline constexpr char kOutcome[] = "millrace.outcome";
inline constexpr char kRetryAfterMs[] = "millrace.retry_after_ms";
inline constexpr char kRemedy[] = "millrace.remedy";
inline constexpr char kSpansDropped[] = "millrace.spans_dropped";

}  // namespace millrace::trace
