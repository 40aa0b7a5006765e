#include "server/config/fields_read.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <map>
#include <optional>
#include <set>

#include "server/config/field_path.h"
#include "server/config/field_value.h"
#include "server/config/rules.h"
#include "server/stages/registry.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

using google::protobuf::FieldDescriptor;

// Fields that items are known to have; nullopt: they may have any field.
using Known = std::optional<std::set<std::string>>;

std::string FirstName(std::string_view path) { return std::string(path.substr(0, path.find('.'))); }

class FieldFlow {
 public:
  FieldFlow(const v1::Pipeline& pipeline, const StageRegistry& stages) : pipeline_(pipeline), registry_(stages) {
    for (int i = 0; i < pipeline.stages_size(); ++i) index_.emplace(pipeline.stages(i).name(), i);
    for (const v1::Binding& binding : pipeline.bindings()) bound_.insert(binding.path());
  }

  std::vector<FieldViolation> Run() {
    for (int i = 0; i < pipeline_.stages_size(); ++i) OutputOf(i);
    for (int i = 0; i < pipeline_.measures_size(); ++i) CheckMeasure(i);
    return std::move(violations_);
  }

 private:
  // Returns the fields of a stage's items. Checks the fields that the stage reads on the first call.
  const Known& OutputOf(int index) {
    if (const auto found = outputs_.find(index); found != outputs_.end()) return found->second;
    outputs_[index] = std::nullopt;  // in a cycle, nothing is known
    const v1::Stage& stage = pipeline_.stages(index);
    const StageKind* kind = registry_.Of(stage);
    Known input = stage.needs_size() == 0 ? Known() : Known(std::set<std::string>());
    for (const std::string& need : stage.needs()) {
      const auto found = index_.find(need);
      const Known& made = found == index_.end() ? unknown_ : OutputOf(found->second);
      if (!made) input = std::nullopt;
      if (input) input->insert(made->begin(), made->end());
    }
    CheckReads(index, kind, input);
    Known output = input;
    if (kind != nullptr && kind->fields) {
      const StageKind::Fields fields = kind->fields(stage);
      if (!fields.made) {
        output = std::nullopt;
      } else {
        if (fields.fresh && !stage.has_when()) output = std::set<std::string>();
        if (output) {
          for (const std::string& field : *fields.made) output->insert(FirstName(field));
        }
      }
    } else {
      output = std::nullopt;
    }
    return outputs_[index] = std::move(output);
  }

  void CheckReads(int index, const StageKind* kind, Known known) {
    if (!known) return;
    const v1::Stage& stage = pipeline_.stages(index);
    const std::string root = PathOfElement("stages", static_cast<size_t>(index));
    // A stage may read fields that it writes: a rule sees what the rules before it did.
    VisitStrings(stage, root, [&](const FieldDescriptor& field, const std::string& path, const std::string& value) {
      if (!RulesOf(field).writes_field() || value.empty()) return;
      if (bound_.contains(path)) known = std::nullopt;
      if (known) known->insert(FirstName(value));
    });
    if (!known) return;
    VisitStrings(stage, root, [&](const FieldDescriptor& field, const std::string& path, const std::string& value) {
      if (!RulesOf(field).reads_field() || bound_.contains(path)) return;
      CheckField(kind != nullptr && kind->field_read ? kind->field_read(path, value) : value, path, *known);
    });
  }

  void CheckField(const std::string& value, const std::string& path, const std::set<std::string>& known) {
    const std::string name = FirstName(value);
    if (name.empty() || name == "id" || known.contains(name)) return;
    const std::vector<std::string> names(known.begin(), known.end());
    violations_.push_back(
        {path, fmt::format("no stage before makes the field \"{}\"{}", Excerpt(name), DidYouMean(name, names))});
  }

  void CheckMeasure(int index) {
    const v1::Measure& measure = pipeline_.measures(index);
    const std::string path = PathOfElement("measures", static_cast<size_t>(index));
    const auto check = [&](const std::string& stage, const std::string& field, std::string_view figure) {
      const auto found = index_.find(stage);
      if (found == index_.end() || field.empty()) return;
      const std::string at = fmt::format("{}.{}.field", path, figure);
      if (const Known& known = OutputOf(found->second); known && !bound_.contains(at)) CheckField(field, at, *known);
    };
    if (measure.has_mean()) check(measure.mean().stage(), measure.mean().field(), "mean");
    if (measure.has_sum()) check(measure.sum().stage(), measure.sum().field(), "sum");
    if (measure.has_quantile()) check(measure.quantile().stage(), measure.quantile().field(), "quantile");
    const auto check_where = [&](const v1::ItemSet& items, std::string_view figure) {
      const auto found = index_.find(items.stage());
      if (found == index_.end() || !items.has_where()) return;
      const Known& known = OutputOf(found->second);
      if (!known) return;
      VisitStrings(items.where(), fmt::format("{}.{}.where", path, figure),
                   [&](const FieldDescriptor& field, const std::string& at, const std::string& value) {
                     if (RulesOf(field).reads_field() && !bound_.contains(at)) CheckField(value, at, *known);
                   });
    };
    if (measure.has_count()) check_where(measure.count(), "count");
    if (measure.has_share()) check_where(measure.share(), "share");
  }

  const v1::Pipeline& pipeline_;
  const StageRegistry& registry_;
  const Known unknown_;
  std::map<std::string, int> index_;  // by name
  BoundPaths bound_;
  std::map<int, Known> outputs_;  // references stay valid while it grows
  std::vector<FieldViolation> violations_;
};

}  // namespace

std::vector<FieldViolation> FieldsReadUnmade(const v1::Pipeline& pipeline, const StageRegistry& stages) {
  if (pipeline.stages_size() > 100) return {};  // refused elsewhere; the recursion is as deep as the graph
  return FieldFlow(pipeline, stages).Run();
}

}  // namespace millrace
