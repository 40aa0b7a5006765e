// Commands `cache`, `status` and `version`.
#include <fmt/format.h>

#include <iostream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/process/coordinator.h"

namespace millrace::cli {
namespace {

struct ServerArguments {
  std::string target;
  double older_than_hours = 0;
  bool keep_memos = false;
};

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
