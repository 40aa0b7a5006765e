// Commands `items` and `why`.
#include <fmt/format.h>

#include <iostream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/run_hints.h"
#include "server/base/status.h"

namespace millrace::cli {
namespace {

struct ItemArguments {
  std::string run;
  std::string stage;
  std::vector<std::string> states;
  int64_t limit = 100;
  bool all = false;
  std::string item;
};

// Prints the items of one stage after the other, up to the limit.
class ItemsPrinter {
 public:
  // With `names_stages`, each row names its stage.
  ItemsPrinter(Session& session, const ItemArguments& arguments, bool names_stages)
      : session_(session), arguments_(arguments), names_stages_(names_stages), left_(arguments.limit) {
    rows_ = {{"ID", "STATE", "REASON", "ITEM"}};
    if (names_stages) rows_.front().insert(rows_.front().begin(), "STAGE");
  }

  Status PrintStage(client::Client& client, v1::ListItemsRequest request) {
    do {
      if (!arguments_.all && left_ <= 0) {
        has_more_ = true;
        break;
      }
      request.set_page_size(arguments_.all ? 1000 : static_cast<int32_t>(std::min<int64_t>(left_, 1000)));
      MR_ASSIGN_OR_RETURN(const v1::ListItemsResponse response, client.ListItems(request));
      if (session_.json()) PrintJson(response);
      for (const v1::Item& item : response.items()) Print(item);
      left_ -= response.items_size();
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty() && std::cout.good());
    return absl::OkStatus();
  }

  void End() const {
    if (session_.format != "text") return;
    std::cout << Table(rows_);
    if (has_more_) std::cerr << "more items exist; show them with --all or --limit N\n";
  }

 private:
  void Print(const v1::Item& item) {
    if (session_.format == "jsonl") {
      // No times and no origin, so that the output of two runs can be compared.
      v1::Item line = item;
      line.clear_end_time();
      line.clear_origin();
      PrintJson(line, Layout::kLine);
    } else if (!session_.json()) {
      std::vector<std::string> row = {Safe(item.id(), 40), StateName(item.state()),
                                      item.has_error() ? ReasonName(item.error().reason()) : "-",
                                      item.json().empty() ? Safe(item.error().message()) : Safe(item.json())};
      if (names_stages_) row.insert(row.begin(), Safe(item.stage()));
      rows_.push_back(std::move(row));
    }
  }

  Session& session_;
  const ItemArguments& arguments_;
  const bool names_stages_;
  int64_t left_;
  bool has_more_ = false;
  std::vector<std::vector<std::string>> rows_;
};

int ListItems(Session& session, const ItemArguments& arguments) {
  v1::ListItemsRequest request;
  request.set_run(arguments.run);
  request.set_stage(arguments.stage);
  for (const std::string& name : arguments.states) {
    const StatusOr<v1::ItemState> state = ReadItemState(name);
    if (!state.ok()) return PrintError(state.status());
    request.add_states(*state);
  }
  session.prints_lines = true;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  std::vector<std::string> stages = {arguments.stage};
  // An item that failed is in no later stage.
  const bool failed_only = request.states_size() == 1 && request.states(0) == v1::ITEM_STATE_FAILED;
  const bool all_stages = failed_only && arguments.stage.empty();
  if (all_stages) {
    v1::GetRunRequest get;
    get.set_run(arguments.run);
    const StatusOr<v1::GetRunResponse> run = (*client)->GetRun(get);
    if (!run.ok()) return PrintError(run.status());
    stages.clear();
    for (const v1::StageProgress& stage : run->run().stages()) {
      if (stage.failed() > 0) stages.push_back(stage.stage());
    }
  }
  ItemsPrinter printer(session, arguments, all_stages);
  for (const std::string& stage : stages) {
    request.set_stage(stage);
    if (const Status status = printer.PrintStage(**client, request); !status.ok()) return PrintError(status);
  }
  printer.End();
  return kDone;
}

void PrintCall(const v1::CallExplanation& call) {
  std::cout << fmt::format("  call {} to {}{}\n", Safe(call.call_key(), 12), Safe(call.model()),
                           call.cache_hit()
                               ? fmt::format(": cached, answered by {} at {}",
                                             call.answered_by_run().empty() ? "generate" : Safe(call.answered_by_run()),
                                             Time(call.answer_time()))
                               : "");
  if (!call.system().empty()) std::cout << "    system  " << Safe(call.system(), 2000) << "\n";
  std::cout << "    prompt  " << Safe(call.prompt(), 2000) << "\n";
  std::cout << "    answer  " << Safe(call.answer(), 2000) << "\n";
  for (const v1::Attempt& attempt : call.attempts()) {
    std::cout << fmt::format("    attempt {} at {}/{}: {}, {} s, {} + {} tokens, {}{}\n", attempt.number(),
                             Safe(attempt.backend()), Safe(attempt.model()), OutcomeName(attempt.outcome()),
                             Seconds(attempt.latency()), Count(attempt.input_tokens()), Count(attempt.output_tokens()),
                             attempt.has_cost_nano_usd() ? Cost(attempt.cost_nano_usd(), 0) : "unpriced",
                             attempt.error().empty() ? "" : ": " + Safe(attempt.error(), 500));
  }
}

int Why(Session& session, const ItemArguments& arguments) {
  v1::ExplainItemRequest request;
  request.set_run(arguments.run);
  request.set_item_id(arguments.item);
  request.set_stage(arguments.stage);
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::ExplainItemResponse> response = (*client)->ExplainItem(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  for (const v1::StageExplanation& stage : response->stages()) {
    const v1::Item& item = stage.item();
    std::cout << fmt::format("{} {}: {}", Safe(item.stage()), Safe(item.id(), 256), StateName(item.state()));
    switch (item.origin()) {
      case v1::ORIGIN_MEMO:
        std::cout << fmt::format(", memoized: computed by {} at {}",
                                 stage.computed_by_run().empty() ? "an earlier run" : Safe(stage.computed_by_run()),
                                 Time(stage.computed_time()));
        break;
      case v1::ORIGIN_PASSED:
        std::cout << ", passed through: the stage's `when` is false";
        break;
      default:
        std::cout << fmt::format(", computed at {}", Time(item.end_time()));
    }
    std::cout << "\n";
    if (item.has_error()) {
      std::cout << fmt::format("  {}: {}\n", ReasonName(item.error().reason()), Safe(item.error().message(), 1024));
    }
    if (stage.input_ids_size() > 0) {
      std::string ids;
      for (int i = 0; i < stage.input_ids_size() && i < 20; ++i)
        ids += (i > 0 ? " " : "") + Safe(stage.input_ids(i), 64);
      if (stage.input_ids_size() > 20) ids += fmt::format(" … ({} in all)", Count(stage.input_ids_size()));
      std::cout << "  made of " << ids << "\n";
    }
    for (const std::string& note : stage.notes()) std::cout << "  " << Safe(note, 500) << "\n";
    if (!item.json().empty()) std::cout << "  " << Safe(item.json(), 2000) << "\n";
    for (const v1::CallExplanation& call : stage.calls()) PrintCall(call);
  }
  // An item that has not reached a stage may wait for the whole run.
  v1::GetRunRequest get;
  get.set_run(arguments.run);
  const StatusOr<v1::GetRunResponse> run = (*client)->GetRun(get);
  if (!run.ok()) return PrintError(run.status());
  std::cout << StateHint(session, run->run());
  return kDone;
}

}  // namespace

void AddItemCommands(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<ItemArguments>();
  CLI::App* items = AddCommand(app, "items", "List the items of a run as a stage left them",
                               "  millrace items r-… --state failed\n"
                               "  millrace items r-… --all --format jsonl > items.jsonl");
  items->add_option("RUN", arguments->run, "Name of the run")->required();
  items->add_option("--stage", arguments->stage,
                    "Name of the stage (default: the last one before a store; with --state failed: all)");
  items->add_option("--state", arguments->states, "Only items in this state");
  items->add_option("--limit", arguments->limit, "Largest number of items")
      ->check(WholeNumber(1, 1000000000))
      ->capture_default_str();
  items->add_flag("--all", arguments->all, "All items, without a limit");
  items->callback([&session, &exit, arguments] { exit = ListItems(session, *arguments); });

  CLI::App* why = AddCommand(app, "why", "Explain how an item was made, stage by stage", "  millrace why r-… item-17");
  why->add_option("RUN", arguments->run, "Name of the run")->required();
  why->add_option("ITEM", arguments->item, "Id of the item")->required();
  why->add_option("--stage", arguments->stage, "Only this stage");
  why->callback([&session, &exit, arguments] { exit = Why(session, *arguments); });
}

}  // namespace millrace::cli
