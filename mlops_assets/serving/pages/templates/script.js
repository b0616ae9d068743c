"use strict";
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const said = document.getElementById("said");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copies).textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.firstElementChild.textContent = "Copied";
        said.textContent = "Copied";
      } catch {
        said.textContent = "The browser did not allow copying: select the lines instead.";
        said.classList.remove("hidden");
      }
      setTimeout(() => { button.firstElementChild.textContent = "Copy"; said.textContent = ""; }, 2500);
    });
  }
}
