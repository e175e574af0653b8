const shown = document.getElementById("cluster");
fetch("cluster").then((answer) => answer.text()).then((text) => { shown.textContent = text; });
