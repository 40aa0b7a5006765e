#include "server/process/descriptor_needs.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "server/api/acceptor.h"
#include "server/base/descriptors.h"

namespace millrace {
namespace {

// Returns the calls that may be in flight at the same time at providers, by their fixed slots.
int64_t SlotsOf(const v1::ServerConfig& config) {
  std::map<std::pair<std::string, std::string>, int64_t> slots;  // a target has one set, whichever alias leads to it
  for (const v1::ModelConfig& model : config.models()) {
    for (const v1::TargetConfig& target : model.targets()) {
      slots[{target.backend(), target.model()}] = target.limits().max_concurrency().slots();
    }
  }
  int64_t sum = 0;
  for (const auto& [target, number] : slots) sum += number;
  return sum;
}

std::string Need(std::string_view what, int64_t wanted, int64_t share, int64_t limit, std::string_view then) {
  return fmt::format(
      "the configuration asks for {} {}, but the limit of {} open files leaves {}: {}; raise the limit "
      "(`ulimit -n 65536`, or LimitNOFILE= of systemd)",
      wanted, what, limit, share, then);
}

}  // namespace

std::vector<std::string> FindDescriptorNeeds(const v1::ServerConfig& config, int64_t limit) {
  std::vector<std::string> needs;
  const DescriptorShares shares = DivideDescriptors(limit);
  if (const int64_t slots = SlotsOf(config); slots > shares.outgoing) {
    needs.push_back(Need("calls in flight at providers", slots, shares.outgoing, limit, "other calls wait"));
  }
  const int64_t clients = config.limits().max_connections();
  if (const int64_t share = api::ConnectionsUnderFdLimit(static_cast<int>(clients)); share < clients) {
    needs.push_back(Need("connections of clients", clients, share, limit, "more are refused"));
  }
  return needs;
}

}  // namespace millrace
