// Commands `generate`, `cache`, `status` and `version`.
#include <fmt/format.h>

#include <iostream>
#include <sstream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/base/text_file.h"
#include "server/process/coordinator.h"

namespace millrace::cli {
namespace {

constexpr size_t kMessagesBytesMax = 4u << 20;  // limit of a GenerateRequest
constexpr size_t kSchemaMibMax = 4;

struct ServerArguments {
  std::string model;
  std::string prompt;
  std::string system;
  std::string schema;
  int32_t max_tokens = 0;
  int64_t sample = 0;
  double timeout_seconds = 600;
  std::string target;
  double older_than_hours = 0;
  bool keep_memos = false;
};

std::string ReadAll(std::istream& in) {
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int Generate(Session& session, const ServerArguments& arguments) {
  v1::GenerateRequest request;
  request.set_model(arguments.model);
  if (!arguments.system.empty()) {
    v1::Message* message = request.add_messages();
    message->set_role("system");
    message->set_content(arguments.system);
  }
  v1::Message* message = request.add_messages();
  message->set_role("user");
  message->set_content(arguments.prompt == "-" ? ReadAll(std::cin) : arguments.prompt);
  if (Status status = CheckUtf8("standard input", message->content()); !status.ok()) return PrintError(status);
  const size_t bytes = arguments.system.size() + message->content().size();
  if (bytes > kMessagesBytesMax) {
    return PrintError(MakeError(
        Reason::kInvalidField, fmt::format("the prompt and the system message have {} bytes; at most 4 MiB are allowed",
                                           Count(static_cast<int64_t>(bytes)))));
  }
  if (!arguments.schema.empty()) {
    StatusOr<std::string> schema = ReadTextFile(arguments.schema, kSchemaMibMax);
    if (!schema.ok()) return PrintError(WithContext(schema.status(), "--schema"));
    if (Status status = CheckUtf8("--schema", *schema); !status.ok()) return PrintError(status);
    request.set_output_schema(*std::move(schema));
  }
  request.set_max_tokens(arguments.max_tokens);
  request.set_sample_number(arguments.sample);
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  (*client)->SetTimeout(std::chrono::nanoseconds(static_cast<int64_t>(arguments.timeout_seconds * 1e9)));
  session.OnInterrupt([&client] { (*client)->Interrupt(); });
  const StatusOr<v1::GenerateResponse> response = (*client)->Generate(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  // Print the answer without decoration, because the output may be redirected. Escape each line, because an answer must
  // not control the terminal.
  std::istringstream lines(response->text());
  for (std::string line; std::getline(lines, line);) std::cout << Safe(line, SIZE_MAX) << "\n";
  std::cerr << fmt::format("{}/{}{}, {} + {} tokens\n", Safe(response->backend()), Safe(response->model()),
                           response->cache_hit() ? ", cached" : "", Count(response->input_tokens()),
                           Count(response->output_tokens()));
  return kDone;
}

int CacheStats(Session& session) {
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::GetCacheStatsResponse> response = (*client)->GetCacheStats({});
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"CACHE", "ENTRIES (ESTIMATE)", "BYTES", "HITS", "MISSES", "CORRUPT"}};
  const auto add = [&rows](const std::string& name, const v1::CacheStats& stats) {
    rows.push_back({name, Count(stats.entries()), Count(stats.bytes()), Count(stats.hits()), Count(stats.misses()),
                    Count(stats.corrupt())});
  };
  add("answers", response->answers());
  add("results of items", response->memos());
  std::cout << Table(rows);
  return kDone;
}

int CacheEvict(Session& session, const ServerArguments& arguments) {
  v1::EvictCacheRequest request;
  request.set_target(arguments.target);
  request.set_keep_memos(arguments.keep_memos);
  if (arguments.older_than_hours > 0) {
    request.mutable_older_than()->set_seconds(static_cast<int64_t>(arguments.older_than_hours * 3600));
  }
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::EvictCacheResponse> response = (*client)->EvictCache(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
  } else {
    std::cout << fmt::format("evicted {} answers and {} results of items\n", Count(response->answers()),
                             Count(response->memos()));
  }
  return kDone;
}

int ShowStatus(Session& session) {
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::GetStatusResponse> response = (*client)->GetStatus({});
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  const v1::GetStatusResponse& status = *response;
  const auto millis = [](const google::protobuf::Duration& duration) {
    return fmt::format("{:.3f} ms", static_cast<double>(duration.seconds()) * 1e3 + duration.nanos() / 1e6);
  };
  std::vector<std::vector<std::string>> rows = {
      {"version", fmt::format("{}{}", status.version(), status.draining() ? ", draining" : "")},
      {"process", fmt::format("{} since {}", status.pid(), Time(status.start_time()))},
      {"data", fmt::format("{}, durability {}, store {}", status.data_dir(), status.durability(), status.store())},
      {"disk", fmt::format("{} MiB free, {} MiB reserved", Count(status.disk_free_bytes() >> 20),
                           Count(status.disk_reserve_bytes() >> 20))},
      {"runs", fmt::format("{} active", status.active_runs())},
      {"calls", fmt::format("{} waiting, {} in flight", status.calls_waiting(), status.attempts_in_flight())},
      {"loop", fmt::format("lag p50 {}, p99.9 {}; handlers' CPU p99.9 {}", millis(status.loop_lag_p50()),
                           millis(status.loop_lag_p999()), millis(status.handler_cpu_p999()))},
      {"commits", fmt::format("{}{}", Count(status.commits()),
                              status.has_fsync_p50() ? ", fdatasync p50 " + millis(status.fsync_p50()) : "")}};
  if (status.has_traces()) {
    rows.push_back(
        {"traces", fmt::format("{} spans exported, {} dropped, {} waiting", Count(status.traces().exported()),
                               Count(status.traces().dropped()), Count(status.traces().waiting()))});
  }
  std::cout << Table(rows);
  return kDone;
}

}  // namespace

void AddServerCommands(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<ServerArguments>();
  CLI::App* generate = AddCommand(app, "generate", "Ask a model once; a repeated question is answered from memory",
                                  "  millrace generate local \"What is a mill race?\"\n"
                                  "  millrace generate writer - --schema answer.schema.json < prompt.txt");
  generate->add_option("MODEL", arguments->model, "Alias of the model")->required();
  generate->add_option("PROMPT", arguments->prompt, "Prompt; - reads it from standard input")->required();
  generate->add_option("--system", arguments->system, "System message");
  generate->add_option("--schema", arguments->schema, "File with a JSON Schema that the answer must satisfy");
  generate->add_option("--max-tokens", arguments->max_tokens, "Limit of the answer in tokens (0: 1024)")
      ->check(WholeNumber(0, 1000000));
  generate
      ->add_option("--sample-number", arguments->sample, "Number of the sample; another number asks the question again")
      ->check(WholeNumber(0, kInt64Max));
  generate->add_option("--timeout", arguments->timeout_seconds, "Time limit in seconds")
      ->check(DecimalNumber(0.001, 86400))
      ->capture_default_str();
  generate->callback([&session, &exit, arguments] { exit = Generate(session, *arguments); });

  CLI::App* cache =
      AddCommand(app, "cache", "Show or evict cached answers and memoized results",
                 "  millrace cache stats\n  millrace cache evict --older-than-hours 720 --target cloud/gpt-4o-mini");
  cache->require_subcommand(1);
  CLI::App* stats = cache->add_subcommand("stats", "Show entries, bytes, hits and misses");
  stats->fallthrough();
  stats->callback([&session, &exit] { exit = CacheStats(session); });
  CLI::App* evict = cache->add_subcommand("evict", "Evict cached answers and memoized results");
  evict->fallthrough();
  evict->add_option("--older-than-hours", arguments->older_than_hours, "Only entries older than this many hours")
      ->check(DecimalNumber(0.001, 1000000));
  evict->add_option("--target", arguments->target, "Only answers of BACKEND/MODEL");
  evict->add_flag("--keep-memos", arguments->keep_memos, "Keep memoized results");
  evict->callback([&session, &exit, arguments] { exit = CacheEvict(session, *arguments); });

  CLI::App* status =
      AddCommand(app, "status", "Show the state of the server", "  millrace status --server 127.0.0.1:7400");
  status->callback([&session, &exit] { exit = ShowStatus(session); });

  CLI::App* version = AddCommand(app, "version", "Print the version", "  millrace version");
  version->callback([&session, &exit] {
    if (session.json()) {
      v1::GetStatusResponse response;  // only a server knows the other fields
      response.set_version(kVersion);
      PrintJson(response);
    } else {
      std::cout << "millrace " << kVersion << "\n";
    }
    exit = kDone;
  });
}

}  // namespace millrace::cli
